//go:build faultpoint

package faultpoint

import (
	"fmt"
	"os"
)

// armed belongs to the process, like the variable that it is read from: the code that visits points must not have to know of it.
var armed *plan //nolint:gochecknoglobals // see above

// Arm reads what is to happen where, and takes the variable out of the environment: the configuration does not know it. It is called once,
// before anything else runs.
func Arm() {
	spec, given := os.LookupEnv(Variable) //nolint:forbidigo // no product has this file
	if !given {
		return
	}
	if spec == "list" {
		for _, p := range Points() {
			fmt.Println(p) //nolint:forbidigo // it is a command then
		}
		os.Exit(0)
	}
	p, err := parse(spec)
	if err == nil {
		err = os.Unsetenv(Variable)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "pyralis: %s: %v\n", Variable, err)
		os.Exit(2)
	}
	armed = p
}

// Visit passes a point.
func Visit(p Point) { armed.visit(p) }

// VisitIf passes a point, on a condition.
func VisitIf(condition bool, p Point) {
	if condition {
		armed.visit(p)
	}
}
