package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

func newListen() *cobra.Command {
	var l listening
	cmd := &cobra.Command{
		Use:   "listen STREAM",
		Short: "Print the events of a stream, one JSON object a line, and acknowledge them",
		Long: "Print the events of a stream, one JSON object a line, and acknowledge them. What was printed is not delivered again.\n" +
			"A broken connection is opened again until Ctrl-C; a stream that is deleted, or of another type now, ends it.\n\n" +
			"With --from, the listeners of the stream are moved to a block first, for all who listen to it.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return listen(cmd, args[0], &l)
		},
	}
	cmd.Flags().StringVar(&l.url, "url", client.DefaultURL, "URL of the API")
	cmd.Flags().StringVar(&l.from, "from", "", "begin again: earliest, latest, a block number, or a form of the chain's own; where it stands when absent")
	cmd.Flags().IntVar(&l.window, "window", 1, "batches that may be on their way at once")
	cmd.Flags().IntVar(&l.count, "count", 0, "stop after at least this many events, at the end of a batch; 0: go on")
	return cmd
}

// listening is what the flags say.
type listening struct {
	url, from     string
	window, count int
}

func listen(cmd *cobra.Command, stream string, l *listening) error {
	if l.window < 1 {
		return fmt.Errorf("--window %d: give 1 or more", l.window)
	}
	// Ask first: a stream that is not there, or a server that does not answer, is a mistake to report, not to wait for.
	s, err := l.prepare(cmd.Context(), stream)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	note := func(format string, args ...any) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
	printed := 0
	var failed error
	consumer := client.Consumer{
		URL: l.url, Stream: s.ID.String(), Window: l.window,
		Handle: func(_ context.Context, b *client.Batch) error {
			for _, e := range b.Events {
				if _, failed = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", e); failed != nil {
					cancel()
					return failed // nobody has seen it: it is to come again
				}
			}
			if printed += len(b.Events); l.count > 0 && printed >= l.count {
				return client.ErrStop
			}
			return nil
		},
		Connected: func() { note("Listening to %s; Ctrl-C ends.", stream) },
		Disconnected: func(err error) {
			if errors.Is(err, client.ErrUnlistened) { // it was there: it is gone, and its id does not come back
				failed = fmt.Errorf("stream %s: %w", stream, err)
				cancel()
				return
			}
			note("Connection lost (%v); trying again.", err)
		},
		Refused: func(message string) { note("The server says: %s", message) },
	}
	err = consumer.Run(ctx)
	if failed != nil {
		return failed
	}
	return err
}

// prepare finds the stream and moves it if that is asked for.
func (l *listening) prepare(ctx context.Context, stream string) (*apitypes.EventStreamWithStatus, error) {
	c := client.New(l.url)
	defer c.Close()
	s, err := c.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	if kind := text(s.Type); kind != apitypes.StreamWebSocket {
		return nil, fmt.Errorf("stream %s is of type %s: only streams of type %s can be listened to", stream, kind, apitypes.StreamWebSocket)
	}
	if l.from != "" {
		_, err = (&target{from: l.from}).resetAll(ctx, c, s.ID.String())
	}
	return s, err
}
