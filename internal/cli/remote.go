package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/pkg/client"
)

// remote is what the commands have in common that call the API of a node.
type remote struct {
	url    string
	output string
}

// flags adds the flags of all of them to the command above them.
func (r *remote) flags(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&r.url, "url", client.DefaultURL, "URL of the API")
	cmd.PersistentFlags().StringVarP(&r.output, "output", "o", outputTable, "how to print: table or json")
}

// each does something to each of those that are named, up to the first error, and returns what came of them; nil if that is nothing, and nothing to print.
func each[T any](verb string, names []string, do func(name string) (T, error)) (any, error) {
	var done []T
	for _, name := range names {
		one, err := do(name)
		switch {
		case err != nil && len(done) == 0:
			return nil, fmt.Errorf("%s %s: %w", verb, name, err)
		case err != nil:
			return done, fmt.Errorf("%s %s: %w", verb, name, err)
		}
		done = append(done, one)
	}
	return done, nil
}

// run calls the API and prints what it says.
func (r *remote) run(cmd *cobra.Command, call func(ctx context.Context, c *client.Client) (any, error)) error {
	if err := checkOutput(r.output); err != nil {
		return err
	}
	c := client.New(r.url)
	defer c.Close()
	answer, err := call(cmd.Context(), c)
	if err != nil && cmd.Context().Err() != nil {
		err = fmt.Errorf("interrupted: %v", err) //nolint:errorlint // to end is what a service was asked for; here something was left undone
	}
	if answer == nil {
		return err
	}
	if e := show(cmd.OutOrStdout(), r.output, answer); e != nil {
		return e
	}
	return err
}
