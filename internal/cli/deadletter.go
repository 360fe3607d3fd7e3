package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// letterCommand is what the commands about dead letters have in common.
type letterCommand struct{ remote }

func newDeadLetter() *cobra.Command {
	l := &letterCommand{}
	cmd := &cobra.Command{
		Use:   "deadletter",
		Short: "Show, replay and delete events that could not be delivered",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	l.flags(cmd)
	cmd.AddCommand(l.list(), l.show(), l.replay(), l.remove())
	return cmd
}

// chooser reads a selection from flags.
type chooser struct {
	sel          apitypes.DeadLetterSelection
	since, until string
}

func (c *chooser) flags(f *pflag.FlagSet) {
	f.StringVar(&c.sel.Listener, "listener", "", "only those of this listener: its name or id")
	f.StringVar(&c.sel.Kind, "kind", "", "only those of this kind: permanent, refused or expression")
	f.StringVar(&c.sel.After, "after", "", "only those with a higher sequence")
	f.StringVar(&c.sel.Before, "before", "", "only those with a lower sequence")
	f.StringVar(&c.since, "since", "", "only those that failed last at this time or later, e.g. 2026-01-31T12:00:00Z")
	f.StringVar(&c.until, "until", "", "only those that failed last before this time")
}

func (c *chooser) selection() (_ apitypes.DeadLetterSelection, err error) {
	if c.sel.Since, err = timeFlag("since", c.since); err != nil {
		return c.sel, err
	}
	c.sel.Until, err = timeFlag("until", c.until)
	return c.sel, err
}

func timeFlag(flag, v string) (*fftypes.FFTime, error) {
	if v == "" {
		return nil, nil //nolint:nilnil // none
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return nil, fmt.Errorf("--%s %q: give a time such as 2026-01-31T12:00:00Z", flag, v)
	}
	return (*fftypes.FFTime)(&t), nil
}

func (l *letterCommand) list() *cobra.Command {
	var c chooser
	var limit int
	cmd := &cobra.Command{
		Use:   "list STREAM",
		Short: "List the dead letters of an event stream, in the order in which they were set aside",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sel, err := c.selection()
			if err != nil {
				return err
			}
			return l.run(cmd, func(ctx context.Context, api *client.Client) (any, error) {
				list, err := api.DeadLetters(ctx, args[0], sel, limit)
				if err != nil {
					return nil, err
				}
				return list, nil
			})
		},
	}
	c.flags(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 0, "dead letters at most; as many as the node gives when absent")
	return cmd
}

func (l *letterCommand) show() *cobra.Command {
	return &cobra.Command{
		Use:   "show STREAM ID",
		Short: "Show a dead letter with its event",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.run(cmd, func(ctx context.Context, api *client.Client) (any, error) {
				letter, err := api.DeadLetter(ctx, args[0], args[1])
				if err != nil {
					return nil, err
				}
				return letter, nil
			})
		},
	}
}

func (l *letterCommand) replay() *cobra.Command {
	return l.change("replay", "Have dead letters delivered after all", "are to be replayed",
		func(ctx context.Context, c *client.Client, stream, id string) error {
			_, err := c.ReplayDeadLetter(ctx, stream, id)
			return err
		}, (*client.Client).ReplayDeadLetters)
}

func (l *letterCommand) remove() *cobra.Command {
	return l.change("delete", "Delete dead letters; their events are not delivered any more", "are deleted",
		func(ctx context.Context, c *client.Client, stream, id string) error {
			return c.DeleteDeadLetter(ctx, stream, id)
		},
		(*client.Client).DeleteDeadLetters)
}

// change makes a command that does something to the dead letters that are named, or selected by flags.
func (l *letterCommand) change(
	verb, about, done string, each func(ctx context.Context, c *client.Client, stream, id string) error,
	many func(c *client.Client, ctx context.Context, stream string, sel apitypes.DeadLetterSelection) (int64, error),
) *cobra.Command {
	var c chooser
	cmd := &cobra.Command{
		Use:   verb + " STREAM [ID...]",
		Short: about,
		Long:  about + ". Give their ids, or say by flags which, or --all.",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			stream, ids := args[0], args[1:]
			sel, err := c.selection()
			if err != nil {
				return err
			}
			none := sel == (apitypes.DeadLetterSelection{})
			switch {
			case none && len(ids) == 0:
				return errors.New("give the ids of dead letters, or flags that say which, or --all")
			case !none && len(ids) > 0:
				return errors.New("give the ids of dead letters or flags that say which, not both")
			}
			return l.run(cmd, func(ctx context.Context, api *client.Client) (any, error) {
				if len(ids) == 0 {
					n, err := many(api, ctx, stream, sel)
					if err != nil {
						return nil, err
					}
					return changed{Count: n, done: done}, nil
				}
				for n, id := range ids {
					if err := each(ctx, api, stream, id); err != nil {
						return changed{Count: int64(n), done: done}, fmt.Errorf("%s %s: %w", verb, id, err)
					}
				}
				return changed{Count: int64(len(ids)), done: done}, nil
			})
		},
	}
	c.flags(cmd.Flags())
	cmd.Flags().BoolVar(&c.sel.All, "all", false, "all dead letters of the stream")
	return cmd
}

// changed is how many dead letters a command was about.
type changed struct {
	Count int64 `json:"count"`
	done  string
}

func (c changed) String() string { return fmt.Sprintf("%d dead letters %s", c.Count, c.done) }

func letterTable(w io.Writer, list []*apitypes.DeadLetter) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SEQUENCE\tID\tLISTENER\tEVENT\tKIND\tATTEMPTS\tLAST FAILED\tREPLAY ASKED\tERROR")
	for _, l := range list {
		fmt.Fprintln(tw, row(l.Sequence, l.ID, l.ListenerName, l.EventID, l.Kind, fmt.Sprint(l.Attempts), clock(l.LastFailed), clock(l.ReplayRequested), l.Error))
	}
	return tw.Flush()
}

func showLetter(w io.Writer, l *apitypes.DeadLetter) error {
	if err := letterTable(w, []*apitypes.DeadLetter{l}); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\n"+row(string(l.Event)))
	return err
}
