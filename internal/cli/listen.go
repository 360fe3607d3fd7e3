package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/pkg/client"
)

func newListen() *cobra.Command {
	var url string
	var count int
	cmd := &cobra.Command{
		Use:   "listen STREAM",
		Short: "Print the events of a stream, one JSON object a line, and acknowledge them",
		Long: "Print the events of a stream, one JSON object a line, and acknowledge them. What was printed is not delivered again.\n" +
			"A broken connection is opened again until Ctrl-C.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return listen(cmd, url, args[0], count)
		},
	}
	cmd.Flags().StringVar(&url, "url", client.DefaultURL, "URL of the API")
	cmd.Flags().IntVar(&count, "count", 0, "stop after at least this many events, at the end of a batch; 0: go on")
	return cmd
}

func listen(cmd *cobra.Command, url, stream string, count int) error {
	// Ask first: a stream that is not there, or a server that does not answer, is a mistake to report, not to wait for.
	c := client.New(url)
	s, err := c.Stream(cmd.Context(), stream)
	c.Close()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	note := func(format string, args ...any) { _, _ = fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
	printed := 0
	var failed error
	consumer := client.Consumer{
		URL:    url,
		Stream: *s.Name,
		Handle: func(_ context.Context, b *client.Batch) error {
			for _, e := range b.Events {
				if _, failed = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", e); failed != nil {
					cancel()
					return failed // nobody has seen it: it is to come again
				}
			}
			if printed += len(b.Events); count > 0 && printed >= count {
				return client.ErrStop
			}
			return nil
		},
		Connected:    func() { note("Listening to %s; Ctrl-C ends.", stream) },
		Disconnected: func(err error) { note("Connection lost (%v); trying again.", err) },
		Refused:      func(message string) { note("The server says: %s", message) },
	}
	err = consumer.Run(ctx)
	if failed != nil {
		return failed
	}
	return err
}
