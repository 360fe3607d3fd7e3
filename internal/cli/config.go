package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/pkg/node"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

func newConfig(plugins *plugin.Registry) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Describe or check the configuration", Args: cobra.NoArgs}
	cmd.AddCommand(&cobra.Command{
		Use:   "docs",
		Short: "Print every key with its environment variable, default and meaning, as Markdown",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), config.Markdown())
			return err
		},
	})
	var file string
	check := &cobra.Command{
		Use:   "check",
		Short: "Check a configuration file and the environment without starting anything",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(config.LoadOptions{File: file, Env: os.Environ()})
			if err != nil {
				return err
			}
			if err := node.Check(cfg, plugins); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is fine\n", file)
			return err
		},
	}
	check.Flags().StringVarP(&file, "file", "f", defaultFile, "configuration file")
	cmd.AddCommand(check)
	return cmd
}

func newOpenAPI() *cobra.Command {
	return &cobra.Command{
		Use:   "openapi",
		Short: "Print the OpenAPI document of the REST API",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			doc, err := node.OpenAPI(cmd.Context())
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(doc)
			return err
		},
	}
}
