// Command sqs is a consumer of a queue that a stream of type sqs sends to, or that is subscribed to the topic of a stream of type sns with raw message
// delivery. Each event has its effect once, however often it comes. Any number of them may work on one queue and one database.
//
//	sqs -queue https://sqs.eu-central-1.amazonaws.com/123456789012/ledger.fifo -database events.db
//
// Credentials are those that AWS's own tools find: AWS_ACCESS_KEY_ID and so on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func main() {
	queue := flag.String("queue", "", "URL of the queue")
	region := flag.String("region", "eu-central-1", "its region")
	endpoint := flag.String("endpoint", "", "URL of SQS, if not that of AWS")
	database := flag.String("database", "events.db", "file of the database")
	flag.Parse()
	if *queue == "" {
		fmt.Fprintln(os.Stderr, "-queue is missing: give the URL of the queue, such as https://sqs.eu-central-1.amazonaws.com/123456789012/ledger")
		os.Exit(2) //nolint:mnd // as for an unknown flag
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *queue, *region, *endpoint, *database); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, queue, region, endpoint, database string) error {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return err
	}
	events, err := openStore(ctx, database)
	if err != nil {
		return err
	}
	defer events.close()
	c := &consumer{queue: queue, store: events, log: os.Stderr, sqs: sqs.NewFromConfig(cfg, func(o *sqs.Options) {
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
		}
	})}
	return c.run(ctx)
}
