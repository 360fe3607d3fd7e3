package faultpoint

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childSpec is set for a child process of a test, which visits a point three times.
const childSpec = "TEST_FAULTPOINT_CHILD"

func TestMain(m *testing.M) {
	spec, child := os.LookupEnv(childSpec)
	if !child {
		goleak.VerifyTestMain(m)
		return
	}
	p, err := parse(spec)
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		os.Exit(1)
	}
	for n := range 3 {
		p.visit(BeforeSubmit)
		fmt.Fprintln(os.Stdout, "passed", n+1)
	}
}
