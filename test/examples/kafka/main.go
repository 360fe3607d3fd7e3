// Command kafka is a consumer of events that Pyralis delivers to Kafka: several of them share the partitions of a topic, any of them may be killed at any
// time, and each event has its effect once.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	brokers := flag.String("brokers", "localhost:9092", "host:port of brokers, with commas between them")
	topic := flag.String("topic", "ledger", "topic that a stream delivers to")
	group := flag.String("group", "orders", "consumer group: its members share the partitions")
	dir := flag.String("dir", "handled", "directory with the effects, which all members share")
	session := flag.Duration("session", 10*time.Second, "silence after which the partitions of a member go to the others")
	flag.Parse()
	if err := os.MkdirAll(*dir, 0o700); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	c := consumer{brokers: strings.Split(*brokers, ","), topic: *topic, group: *group, session: *session, store: store{*dir}}
	if err := c.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) // what was not committed comes again, to this member or another
	}
}
