package cli

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// listenerCommand is what the commands about listeners have in common.
type listenerCommand struct{ remote }

func newListener() *cobra.Command {
	l := &listenerCommand{}
	cmd := &cobra.Command{
		Use:   "listener",
		Short: "Create, show and move what streams deliver",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	l.flags(cmd)
	cmd.AddCommand(l.list(), l.create(), l.show(), l.reset(), l.remove())
	return cmd
}

func (l *listenerCommand) list() *cobra.Command {
	var limit int
	var after string
	cmd := &cobra.Command{
		Use:   "list [STREAM]",
		Short: "List the listeners of a stream, or of all, in the order of their creation",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			stream := ""
			if len(args) > 0 {
				stream = args[0]
			}
			return l.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				list, err := c.Listeners(ctx, stream, limit, after)
				if err != nil {
					return nil, err
				}
				return list, nil
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "listeners at most; as many as the server sees fit when absent")
	cmd.Flags().StringVar(&after, "after", "", "id of the last one of the page before")
	return cmd
}

func (l *listenerCommand) create() *cobra.Command {
	var name, kind, from, where, transform, spec string
	var filters []string
	cmd := &cobra.Command{
		Use:   "create STREAM [flags]",
		Short: "Add a listener to a stream",
		Long: "Add a listener to a stream. --spec takes the JSON of the REST API for everything that has no flag of its own, or - to read it from\n" +
			"standard input.",
		Example: `  pyralis listener create transfers --name t --from earliest --filter '{"contract":"assets","event":"AssetTransferred"}'
  pyralis listener create transfers --where '.data.to == "bob"' --transform '.data | {id, from}' --filter '{"contract":"assets","event":"AssetTransferred"}'
  pyralis listener create outcomes --type transactions --filter '{"status":"Failed"}'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := &apitypes.Listener{}
			if err := readSpec(cmd.InOrStdin(), spec, body); err != nil {
				return err
			}
			given := func(flag string, value *string, field **string) {
				if cmd.Flags().Changed(flag) {
					*field = value
				}
			}
			given("name", &name, &body.Name)
			given("type", &kind, &body.Type)
			given("where", &where, &body.Where)
			given("transform", &transform, &body.Transform)
			if cmd.Flags().Changed("from") {
				b := apitypes.BlockNumber(from)
				body.FromBlock = &b
			}
			for _, f := range filters {
				if !json.Valid([]byte(f)) {
					return fmt.Errorf("--filter %q: give JSON, in the terms of the chain", f)
				}
				body.Filters = append(body.Filters, json.RawMessage(f))
			}
			return l.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				made, err := c.CreateListener(ctx, args[0], body)
				if err != nil {
					return nil, err
				}
				return []*apitypes.Listener{made}, nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "its name in the stream; what it matches when absent")
	f.StringVar(&kind, "type", "", "events, blocks or transactions; events when absent")
	f.StringVar(&from, "from", "", "earliest, latest, a block number, or a form of the chain's own; latest when absent")
	f.StringArrayVar(&filters, "filter", nil, "what to deliver, as JSON; may be repeated: one of them must match")
	f.StringVar(&where, "where", "", "jq predicate over the event, which chooses among those that match")
	f.StringVar(&transform, "transform", "", "jq program over the event, whose output takes the place of its data")
	f.StringVar(&spec, "spec", "", "other fields, as JSON; - reads standard input")
	return cmd
}

func (l *listenerCommand) show() *cobra.Command {
	return &cobra.Command{
		Use:   "show STREAM LISTENER...",
		Short: "Show listeners with their positions",
		Long:  "Show listeners with their positions. STREAM and LISTENER are names or ids.",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				return each("show", args[1:], func(name string) (*apitypes.ListenerWithStatus, error) { return c.Listener(ctx, args[0], name) })
			})
		},
	}
}

func (l *listenerCommand) reset() *cobra.Command {
	var to target
	cmd := &cobra.Command{
		Use:   "reset STREAM LISTENER... [flags]",
		Short: "Deliver again: move listeners back",
		Long: "Deliver again: move listeners of a stream back to where they began or, with --from, to a block. What comes after that is delivered\n" +
			"once more. A block ahead passes over what is between. pyralis stream reset moves all listeners of a stream at once.",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.run(cmd, func(ctx context.Context, c *client.Client) (any, error) { return to.reset(ctx, c, args[0], args[1:]) })
		},
	}
	to.flags(cmd)
	return cmd
}

func (l *listenerCommand) remove() *cobra.Command {
	return &cobra.Command{
		Use:   "delete STREAM LISTENER...",
		Short: "Remove listeners from a stream",
		Args:  cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				for _, name := range args[1:] {
					if err := c.DeleteListener(ctx, args[0], name); err != nil {
						return nil, fmt.Errorf("delete %s: %w", name, err)
					}
				}
				return nil, nil //nolint:nilnil // nothing is left to show
			})
		},
	}
}
