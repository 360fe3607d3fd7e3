// Command pyralis connects applications to blockchains.
package main

import (
	"os"

	"github.com/pyralis-io/pyralis/internal/cli"
	"github.com/pyralis-io/pyralis/pkg/builtin"
)

func main() {
	os.Exit(cli.Main(builtin.Plugins(), os.Args[1:]))
}
