package node_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/pkg/node"
)

// configured is a configuration whose streams are these.
func configured(t *testing.T, dir, streams string) *node.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pyralis.yaml")
	require.NoError(t, os.WriteFile(file, []byte(streams), 0o600))
	cfg, err := node.LoadConfig(file, []string{"PYRALIS_STORE_SQLITE_PATH=" + dir, "PYRALIS_API_PORT=0"})
	require.NoError(t, err)
	return cfg
}

// running starts a node, and returns a client of it and what stops it.
func running(t *testing.T, cfg *node.Config) (*client.Client, func()) {
	t.Helper()
	n := newNode(t, cfg, builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	c := client.New(n.URL())
	stop := func() {
		c.Close()
		require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))
	}
	return c, stop
}

// takeAssets consumes a stream until it has the events of these transactions, in order.
func takeAssets(t *testing.T, url, stream string, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []string
	consumer := client.Consumer{URL: url, Stream: stream, Handle: func(_ context.Context, b *client.Batch) error {
		for _, raw := range b.Events {
			for _, id := range want {
				if strings.Contains(string(raw), `"`+id+`"`) {
					got = append(got, id)
				}
			}
		}
		if len(got) >= len(want) {
			return client.ErrStop
		}
		return nil
	}}
	require.NoError(t, consumer.Run(ctx), "got %v", got)
	require.Equal(t, want, got)
}

const assetsDeclared = `
streams:
  - name: assets
    batchTimeout: 10ms
    listeners:
      - name: created
        fromBlock: earliest
        filters: [{contract: assets, event: AssetCreated}]
`

func TestStreamsOfTheConfigurationKeepTheirPositions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := newNode(t, configured(t, dir, assetsDeclared), builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	c := client.New(n.URL())
	submit(t, c, "one")
	takeAssets(t, n.URL(), "assets", "one")
	before, err := c.Stream(t.Context(), "assets")
	require.NoError(t, err)
	require.Equal(t, "config", before.ManagedBy)
	_, err = c.UpdateStream(t.Context(), "assets", &apitypes.EventStream{BatchSize: new(uint64)})
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusConflict, refused.Status)
	require.ErrorContains(t, err, `PY10111: stream "assets" is declared in the configuration: change it there`)
	c.Close()
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))

	// Without it, and with another one that is not declared.
	c, stop := running(t, configured(t, dir, "streams: []"))
	submit(t, c, "two")
	gone, err := c.Stream(t.Context(), "assets")
	require.NoError(t, err)
	require.True(t, gone.Undeclared)
	require.True(t, *gone.Suspended)
	require.Equal(t, "suspended", gone.StreamState.State)
	name := "by hand"
	_, err = c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name})
	require.NoError(t, err)
	stop()

	// With it again, changed.
	n = newNode(t, configured(t, dir, strings.Replace(assetsDeclared, "batchTimeout: 10ms", "batchSize: 7", 1)), builtin.Plugins())
	require.NoError(t, n.Start(t.Context()))
	c = client.New(n.URL())
	after, err := c.Stream(t.Context(), "assets")
	require.NoError(t, err)
	require.Equal(t, before.ID, after.ID)
	require.Equal(t, uint64(7), *after.BatchSize)
	submit(t, c, "three")
	takeAssets(t, n.URL(), "assets", "two", "three")
	c.Close()
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))

	// A conflict is a start-up error, and leaves the store free for the next.
	n = newNode(t, configured(t, dir, assetsDeclared+"  - name: by hand\n"), builtin.Plugins())
	require.ErrorContains(t, n.Start(t.Context()), `streams[1].name is "by hand", which is taken by a stream that was not declared here (id `)
	require.NoError(t, n.Stop(context.WithoutCancel(t.Context())))
	_, stop = running(t, configured(t, dir, assetsDeclared))
	stop()
}

func TestBadStreamsOfTheConfiguration(t *testing.T) {
	t.Parallel()
	offline := map[string]string{
		`{naame: a}`:                                                                       `streams[0].naame is not a field of an event stream: the closest is "name"`,
		`{batchSize: 5}`:                                                                   `streams[0].name is missing`,
		`{name: a, batchSize: 0}`:                                                          `streams[0].batchSize is 0: must be 1 to 10000`,
		`{name: a, errorHandling: drop}`:                                                   `streams[0].errorHandling is "drop": must be "block" or "skip"`,
		`{name: a, type: carrierpigeon}`:                                                   `streams[0].type is "carrierpigeon"`,
		`{name: a, websocket: {distributionMode: x}}`:                                      `streams[0].websocket.distributionMode is "x"`,
		`{name: a, listeners: [{fromBlock: earliest}]}`:                                    `streams[0].listeners[0].name is missing`,
		`{name: a, listeners: [{name: l, type: x}]}`:                                       `streams[0].listeners[0].type`,
		`{name: a, listeners: [{name: l, where: 1}]}`:                                      `streams[0].listeners[0].where is 1: give a string`,
		`{name: a, listeners: [{name: l, where: "|"}]}`:                                    `streams[0].listeners[0].where cannot be used`,
		`{name: a, listeners: [{name: l, transform: nothing}]}`:                            `streams[0].listeners[0].transform cannot be used`,
		`{name: a, listeners: [{name: l, form: x}]}`:                                       `streams[0].listeners[0].form is not a field of a listener: the closest is`,
		`{name: a, listeners: [{name: l}, {name: l}]}`:                                     `streams[0].listeners[1].name is "l", and so is that of streams[0].listeners[0]`,
		`{name: a, listeners: [{name: l, id: ab}]}`:                                        `streams[0].listeners[0].id`,
		`{name: a, listeners: [{name: l, type: transactions, filters: [{status: Dead}]}]}`: `streams[0].listeners[0].filters[0].status is "Dead"`,
	}
	for streams, want := range offline {
		cfg := configured(t, t.TempDir(), "streams: ["+streams+"]")
		require.ErrorContains(t, node.Check(cfg, builtin.Plugins()), want)
		_, err := node.New(t.Context(), node.Options{Config: cfg, Plugins: builtin.Plugins(), Log: quiet()})
		require.ErrorContains(t, err, want)
	}
	for streams, want := range map[string]string{ // these are the chain's to tell
		`{name: a, listeners: [{name: l}]}`:                                              `streams[0].listeners[0].filters: there is none`,
		`{name: a, listeners: [{name: l, filters: [{}]}, {name: m, filters: [{x: 1}]}]}`: `streams[0].listeners[1].filters[0]`,
		`{name: a, listeners: [{name: l, filters: [{}], fromBlock: soon}]}`:              `streams[0].listeners[0].fromBlock: "soon" is none of`,
		`{name: a, listeners: [{name: l, filters: [{}], options: {x: 1}}]}`:              `streams[0].listeners[0].options`,
	} {
		cfg := configured(t, t.TempDir(), "streams: ["+streams+"]")
		require.NoError(t, node.Check(cfg, builtin.Plugins()))
		n := newNode(t, cfg, builtin.Plugins())
		require.ErrorContains(t, n.Start(t.Context()), want)
	}
}

// The examples of the documentation are what they say they are.
func TestTheExamplesOfTheDocumentationWork(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{"config.md": "orders", "README.md": "transfers"} {
		doc, err := os.ReadFile(filepath.Join("..", "..", file))
		require.NoError(t, err)
		_, example, found := strings.Cut(string(doc), "```yaml\nstreams:")
		require.True(t, found)
		example, _, _ = strings.Cut(example, "```")
		c, stop := running(t, configured(t, t.TempDir(), "streams:"+example))
		s, err := c.Stream(t.Context(), want)
		require.NoError(t, err)
		require.Equal(t, "config", s.ManagedBy)
		require.Nil(t, s.StreamState.PendingListeners)
		stop()
	}
}
