package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/pkg/node"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

const defaultFile = "pyralis.yaml"

func newRun(plugins *plugin.Registry) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a node with a configuration file",
		Long: "Run a node. Every key of the configuration file is also an environment variable; see config.md, or \"pyralis config docs\".\n" +
			"Without -f, " + defaultFile + " is read if it exists.\n\n" +
			"GOGC and GOMEMLIMIT mean what they mean to any Go program: less memory for more work, or the other way round. " +
			"Without GOGC it is 80, and a heap of less than 64 MiB is not collected.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !cmd.Flags().Changed("file") {
				if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
					file = ""
				}
			}
			cfg, err := config.Load(config.LoadOptions{File: file, Env: os.Environ()})
			if err != nil {
				return err
			}
			return serve(cmd.Context(), plugins, cfg, func(_ context.Context, n *node.Node) error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "Pyralis is ready at %s\n", n.URL())
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", defaultFile, "configuration file")
	return cmd
}

// serve runs a node until ctx is done or the node cannot go on. ready is called once it serves.
func serve(ctx context.Context, plugins *plugin.Registry, cfg *config.Config, ready func(context.Context, *node.Node) error) error {
	spare(os.Getenv)
	n, err := node.New(ctx, node.Options{Config: cfg, Plugins: plugins})
	if err != nil {
		return err
	}
	if err := n.Start(ctx); err != nil {
		return err
	}
	err = ready(ctx, n)
	if err == nil {
		select {
		case <-ctx.Done():
		case <-n.Failed():
			err = n.Err()
		}
	}
	return errors.Join(err, n.Stop(context.WithoutCancel(ctx)))
}
