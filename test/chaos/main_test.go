//go:build chaos

package chaos

import (
	"os"
	"testing"

	"github.com/pyralis-io/pyralis/test/internal/server"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(natsStore); dir != "" {
		os.Exit(serveNATS(dir))
	}
	os.Exit(server.Main(m))
}
