package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const usage = `usage: fabricnet up|down|status [flags]

  up      start the network in the background and wait until it accepts transactions
  down    stop it
  status  show what runs

flags:
`

// startTimeout bounds up: the first build of the binaries takes a minute or two.
const startTimeout = 10 * time.Minute

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "fabricnet:", err)
		}
		cancel()
		os.Exit(1)
	}
}

type command struct {
	dir   string
	orgs  int
	fresh bool
	out   io.Writer
}

func run(ctx context.Context, args []string, out io.Writer) error {
	c := command{out: out}
	flags := flag.NewFlagSet("fabricnet", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	dir := flags.String("dir", ".fabric", "directory of the network")
	flags.IntVar(&c.orgs, "orgs", 1, "organisations, 1 or 2 (up)")
	flags.BoolVar(&c.fresh, "fresh", false, "discard the old ledger and the data of Pyralis beside it (up)")
	if len(args) == 0 {
		flags.Usage()
		return flag.ErrHelp
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	var err error
	if c.dir, err = filepath.Abs(*dir); err != nil {
		return err
	}
	switch args[0] {
	case "up":
		ctx, cancel := context.WithTimeout(ctx, startTimeout)
		defer cancel()
		return c.up(ctx)
	case "down":
		return c.down(ctx)
	case "status":
		return c.status()
	case "supervise": // what up starts
		return c.supervise(ctx)
	}
	flags.Usage()
	return fmt.Errorf("unknown command %q", args[0])
}
