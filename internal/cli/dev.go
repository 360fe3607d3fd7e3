package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/node"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

const sampleStream = "assets"

func newDev(plugins *plugin.Registry) *cobra.Command {
	var data string
	var port int
	var fresh bool
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a node on an embedded development ledger, with a sample to try",
		Long: "Run a node on an embedded development ledger and SQLite, with nothing to install, and with a stream of the sample contract's\n" +
			"events. Ledger and database are kept in the data directory. Every key of config.md works as an environment variable here, too.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			over := make(map[string]any)
			if cmd.Flags().Changed("data") {
				over["store.sqlite.path"] = data
			}
			if cmd.Flags().Changed("port") {
				over["api.port"] = port
			}
			cfg, err := config.Load(config.LoadOptions{
				Defaults:  map[string]any{"log.level": "warn", "devledger.blockPeriod": "0", "webhooks.allowPrivateIPs": true},
				Env:       os.Environ(),
				Overrides: over,
			})
			if err != nil {
				return err
			}
			if cfg.Connector != config.ConnectorDevLedger {
				return fmt.Errorf("connector: %q cannot be used by \"pyralis dev\"; use \"pyralis run\"", cfg.Connector)
			}
			if fresh {
				if err := node.Wipe(cfg); err != nil {
					return err
				}
			}
			return serve(cmd.Context(), plugins, cfg, func(ctx context.Context, n *node.Node) error {
				if err := createSample(ctx, n.URL()); err != nil {
					return err
				}
				return printSample(cmd.OutOrStdout(), n.URL(), cfg.Store.SQLite.Path)
			})
		},
	}
	cmd.Flags().StringVar(&data, "data", "./pyralis-data", "data directory; created when missing")
	cmd.Flags().IntVar(&port, "port", 5008, "port of the API; 0 picks a free one")
	cmd.Flags().BoolVar(&fresh, "fresh", false, "delete the ledger and the database in the data directory first")
	return cmd
}

// createSample creates the sample stream with one listener on the sample contract's events, unless it is there.
func createSample(ctx context.Context, url string) error {
	c := client.New(url)
	defer c.Close()
	_, err := c.Stream(ctx, sampleStream)
	if !client.IsNotFound(err) {
		return err
	}
	name, kind := sampleStream, apitypes.StreamWebSocket
	s, err := c.CreateStream(ctx, &apitypes.EventStream{Name: &name, Type: &kind})
	if err != nil {
		return err
	}
	from := apitypes.BlockNumber(apitypes.FromBlockEarliest)
	l := &apitypes.Listener{Name: &name, FromBlock: &from}
	for _, event := range []string{"AssetCreated", "AssetUpdated", "AssetTransferred", "AssetDeleted"} {
		l.Filters = append(l.Filters, fmt.Appendf(nil, `{"contract":"assets","event":%q}`, event))
	}
	if _, err = c.CreateListener(ctx, s.ID.String(), l); err != nil {
		// A stream without its listener would look complete at the next start.
		return errors.Join(err, c.DeleteStream(ctx, s.ID.String()))
	}
	return nil
}

func printSample(w io.Writer, url, data string) error {
	listen := "listen " + sampleStream
	if url != client.DefaultURL {
		listen += " --url " + url
	}
	_, err := fmt.Fprintf(w, `Pyralis is ready at %[1]s (Swagger UI: %[1]s/api, data: %[2]s). Ctrl-C ends.

Try this in a second terminal:

  %[3]s %[4]s

and this in a third:

  curl -s %[1]s -H 'Content-Type: application/json' -d '{"headers":{"type":"SendTransaction","id":"my-first"},"from":"alice","to":"assets","method":"create","params":["car-1",{"colour":"blue"}]}'

  curl -s '%[1]s/transactions/my-first?history=true'
`, url, data, program(), listen)
	return err
}

// program is how the user called this program, so that it can be pasted.
func program() string {
	if filepath.Base(os.Args[0]) == os.Args[0] {
		return os.Args[0]
	}
	wd, err := os.Getwd()
	if err != nil {
		return os.Args[0]
	}
	if rel, err := filepath.Rel(wd, os.Args[0]); err == nil && filepath.IsAbs(os.Args[0]) && len(rel) < len(os.Args[0]) {
		return rel
	}
	return os.Args[0]
}
