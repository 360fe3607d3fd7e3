// Command nats reads the events of a Pyralis stream of type jetstream, and does something with each of them once: here it appends them to a file.
//
//	nats -url nats://127.0.0.1:4222 -stream EVENTS -durable ledger -file events.jsonl
//
// Events come at least once. What comes again carries the same header pyralis-message-id, so the id is written down together with the effect of the
// event, in one step that is either durable or never happened. Started twice with the same -durable, two programs share the events; this
// one keeps their order, and wants to be alone with its file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	var o options
	flag.StringVar(&o.url, "url", nats.DefaultURL, "address of NATS")
	flag.StringVar(&o.credentials, "credentials", "", "path of a .creds file")
	flag.StringVar(&o.stream, "stream", "EVENTS", "stream of JetStream")
	flag.StringVar(&o.durable, "durable", "ledger", "name of the consumer, which JetStream remembers the position of")
	flag.StringVar(&o.file, "file", "events.jsonl", "what the events are appended to")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct{ url, credentials, stream, durable, file string }

// run handles events until ctx ends.
func run(ctx context.Context, o options) error {
	j, err := openJournal(o.file)
	if err != nil {
		return err
	}
	defer j.close()
	settings := []nats.Option{nats.Name("pyralis example"), nats.MaxReconnects(-1)}
	if o.credentials != "" {
		settings = append(settings, nats.UserCredentials(o.credentials))
	}
	nc, err := nats.Connect(o.url, settings...)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, o.stream, jetstream.ConsumerConfig{
		Durable: o.durable, AckPolicy: jetstream.AckExplicitPolicy,
		MaxAckPending: 1, // one event at a time keeps their order when one has to come again
	})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(jetstream.PullMaxMessages(1), jetstream.WithMessagesErrOnMissingHeartbeat(false))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		m, err := messages.Next()
		switch {
		case errors.Is(err, jetstream.ErrMsgIteratorClosed):
			return nil
		case err != nil:
			return err
		}
		if err := handle(ctx, j, m); err != nil {
			return err
		}
	}
}

// handle acknowledges a message when what it brought about is durable.
func handle(ctx context.Context, j *journal, m jetstream.Msg) error {
	id := m.Headers().Get("pyralis-message-id")
	if id == "" {
		return m.TermWithReason("it comes from somebody else")
	}
	if err := j.add(id, m.Data()); err != nil {
		return err // it comes again when the program is started anew
	}
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := m.DoubleAck(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	return nil // an acknowledgement that got lost means a repetition, no more
}
