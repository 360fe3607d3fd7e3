// Command pyralis connects applications to blockchains.
package main

import (
	"os"

	"github.com/pyralis-io/pyralis/internal/cli"
	"github.com/pyralis-io/pyralis/internal/faultpoint"
	"github.com/pyralis-io/pyralis/pkg/builtin"
)

func main() {
	faultpoint.Arm()
	os.Exit(cli.Main(builtin.Plugins(), os.Args[1:]))
}
