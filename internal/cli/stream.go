package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// streamCommand is what the commands about event streams have in common.
type streamCommand struct{ remote }

func newStream() *cobra.Command {
	s := &streamCommand{}
	cmd := &cobra.Command{
		Use:   "stream",
		Short: "Create, show and steer event streams",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	s.flags(cmd)
	cmd.AddCommand(
		s.list(), s.create(), s.reset(),
		s.each("show", "Show streams with what they are doing", func(context.Context, *client.Client, string) error { return nil }),
		s.each("suspend", "Stop the delivery of streams; they keep their positions", func(ctx context.Context, c *client.Client, name string) error { return c.SuspendStream(ctx, name) }),
		s.each("resume", "Go on with the delivery of streams", func(ctx context.Context, c *client.Client, name string) error { return c.ResumeStream(ctx, name) }),
		s.remove(),
	)
	return cmd
}

func (s *streamCommand) list() *cobra.Command {
	var limit int
	var after string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List streams in the order of their creation",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return s.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				list, err := c.Streams(ctx, limit, after)
				if err != nil {
					return nil, err
				}
				return list, nil
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 0, "streams at most; as many as the server sees fit when absent")
	cmd.Flags().StringVar(&after, "after", "", "name or id of the last one of the page before")
	return cmd
}

// each makes a command that does one thing to each of the streams that are named, and shows them.
func (s *streamCommand) each(verb, about string, do func(context.Context, *client.Client, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " STREAM...",
		Short: about,
		Long:  about + ". STREAM is a name or an id.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				return each(verb, args, func(name string) (*apitypes.EventStreamWithStatus, error) {
					if err := do(ctx, c, name); err != nil {
						return nil, err
					}
					return c.Stream(ctx, name)
				})
			})
		},
	}
}

func (s *streamCommand) create() *cobra.Command {
	var kind, mode, spec string
	var suspended bool
	cmd := &cobra.Command{
		Use:   "create STREAM [flags]",
		Short: "Create a stream; it delivers nothing until it has a listener",
		Long: "Create a stream; it delivers nothing until it has a listener. --spec takes the JSON of the REST API for everything that has no flag\n" +
			"of its own, or - to read it from standard input.",
		Example: `  pyralis stream create transfers
  pyralis stream create everywhere --distribution-mode broadcast
  pyralis stream create hook --type webhook --spec '{"webhook":{"url":"https://example.com/events"},"batchSize":10}'`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := &apitypes.EventStream{}
			if err := readSpec(cmd.InOrStdin(), spec, body); err != nil {
				return err
			}
			body.Name = &args[0]
			if cmd.Flags().Changed("type") {
				body.Type = &kind
			}
			if cmd.Flags().Changed("suspended") {
				body.Suspended = &suspended
			}
			if mode != "" {
				raw, err := json.Marshal(apitypes.WebSocketConfig{DistributionMode: mode})
				if err != nil {
					return err
				}
				body.WebSocket = raw
			}
			return s.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				made, err := c.CreateStream(ctx, body)
				if err != nil {
					return nil, err
				}
				st, err := c.Stream(ctx, made.ID.String())
				if err != nil {
					return nil, fmt.Errorf("stream %s was created, but cannot be shown: %w", args[0], err)
				}
				return []*apitypes.EventStreamWithStatus{st}, nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "type", "", "websocket or webhook; websocket when absent")
	f.StringVar(&mode, "distribution-mode", "", "of a websocket: load_balance, broadcast or parallel; load_balance when absent")
	f.BoolVar(&suspended, "suspended", false, "deliver nothing until it is resumed")
	f.StringVar(&spec, "spec", "", "other fields, as JSON; - reads standard input")
	return cmd
}

// readSpec reads the JSON that a flag holds, or that it says is on standard input. Fields that are not known are a mistake.
func readSpec(stdin io.Reader, spec string, body any) error {
	if spec == "" {
		return nil
	}
	var r io.Reader = strings.NewReader(spec)
	if spec == "-" {
		r = stdin
	}
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(body); err != nil {
		return fmt.Errorf("--spec: give a JSON object with fields of the REST API: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("--spec: give one JSON object, with nothing behind it")
	}
	return nil
}

func (s *streamCommand) remove() *cobra.Command {
	return &cobra.Command{
		Use:   "delete STREAM...",
		Short: "Delete streams with their listeners and positions",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				for _, name := range args {
					if err := c.DeleteStream(ctx, name); err != nil {
						return nil, fmt.Errorf("delete %s: %w", name, err)
					}
				}
				return nil, nil //nolint:nilnil // nothing is left to show
			})
		},
	}
}

func (s *streamCommand) reset() *cobra.Command {
	var to target
	var only []string
	cmd := &cobra.Command{
		Use:   "reset STREAM [flags]",
		Short: "Deliver again: move the listeners of a stream back",
		Long: "Deliver again: move the listeners of a stream back to where they began or, with --from, to a block. What comes after that is delivered\n" +
			"once more. A block ahead passes over what is between.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				if len(only) > 0 {
					return to.reset(ctx, c, args[0], only)
				}
				return to.resetAll(ctx, c, args[0])
			})
		},
	}
	to.flags(cmd)
	cmd.Flags().StringSliceVar(&only, "listener", nil, "only this one, by name or id; several with commas")
	return cmd
}

// target is where listeners are moved to.
type target struct {
	from   string // "": where they began
	dryRun bool
}

func (t *target) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.from, "from", "", "earliest, latest, a block number, or a form of the chain's own; where they began when absent")
	cmd.Flags().BoolVar(&t.dryRun, "dry-run", false, "change nothing, and count the events that would be delivered again or passed over")
}

func (t *target) block() *apitypes.BlockNumber {
	if t.from == "" {
		return nil
	}
	b := apitypes.BlockNumber(t.from)
	return &b
}

// reset moves some listeners of a stream, one after the other.
func (t *target) reset(ctx context.Context, c *client.Client, stream string, listeners []string) (any, error) {
	return each("reset", listeners, func(name string) (*apitypes.ListenerReset, error) {
		return c.ResetListener(ctx, stream, name, t.block(), t.dryRun)
	})
}

// resetAll moves all listeners of a stream at once.
func (t *target) resetAll(ctx context.Context, c *client.Client, stream string) (any, error) {
	all, err := c.ResetStream(ctx, stream, t.block(), t.dryRun)
	if err != nil {
		return nil, fmt.Errorf("reset %s: %w", stream, err)
	}
	return all.Listeners, nil
}
