package fftm

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// It lives for a second after the database is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"))
}
