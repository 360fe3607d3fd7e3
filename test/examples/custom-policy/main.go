// Command custom-policy is a Pyralis that has one more submission policy: it sends in office hours only.
//
//	PYRALIS_TRANSACTIONS_POLICY=office-hours custom-policy -from 8 -to 18 -f pyralis.yaml
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/node"
	"github.com/pyralis-io/pyralis/pkg/plugin"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

func main() {
	from, to := flag.Int("from", 8, "hour (UTC) in which the office opens"), flag.Int("to", 18, "hour in which it closes")
	file := flag.String("f", "", "configuration file")
	flag.Parse()
	plugins := builtin.Plugins()
	plugins.AddPolicy(plugin.Policy{Name: "office-hours", New: func(env plugin.Env) (policy.Engine, error) {
		return newOfficeHours(*from, *to, env)
	}})
	if err := run(*file, plugins); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(file string, plugins *plugin.Registry) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := node.LoadConfig(file, os.Environ())
	if err != nil {
		return err
	}
	n, err := node.New(ctx, node.Options{Config: cfg, Plugins: plugins})
	if err != nil {
		return err
	}
	if err := n.Start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-n.Failed():
	}
	return errors.Join(n.Err(), n.Stop(context.Background()))
}
