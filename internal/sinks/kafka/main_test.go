package kafka_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A cluster that is closed while one of its sleeping controls wakes up now and then keeps its own goroutine for ever.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/twmb/franz-go/pkg/kfake.(*Cluster).run"))
}
