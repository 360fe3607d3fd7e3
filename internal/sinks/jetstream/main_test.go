package jetstream_test

import (
	"os"
	"strconv"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"
)

// The test binary is a NATS server as well, which tests kill: that of the folder and the port that these variables name.
const (
	childStore = "TEST_NATS_CHILD_STORE"
	childPort  = "TEST_NATS_CHILD_PORT"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childStore); dir != "" {
		port, err := strconv.Atoi(os.Getenv(childPort))
		if err != nil {
			panic(err)
		}
		s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoLog: true})
		if err != nil {
			panic(err)
		}
		s.Start()
		s.WaitForShutdown()
		return
	}
	goleak.VerifyTestMain(m)
}
