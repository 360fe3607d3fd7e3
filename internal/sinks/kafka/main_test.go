package kafka_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A fake cluster that is closed just while one of its sleeping controls wakes up may keep its own goroutine for ever.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*Cluster).run"))
}
