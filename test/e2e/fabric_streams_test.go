//go:build e2e && fabric

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// delivery collects what one stream delivers.
type delivery struct {
	mu  sync.Mutex
	ids []string // protocol id and asset, in the order of delivery
}

func (d *delivery) handle(_ context.Context, b *client.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, raw := range b.Events {
		var e struct {
			ProtocolID string              `json:"protocolId"`
			Data       struct{ ID string } `json:"data"`
		}
		if err := json.Unmarshal(raw, &e); err != nil {
			return err
		}
		d.ids = append(d.ids, e.ProtocolID+" "+e.Data.ID)
	}
	return nil
}

func (d *delivery) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.ids)
}

// TestFabricStreamsFromEarliestAndLatest: listeners for the same event of the same chaincode do not disturb each other, wherever they start.
func TestFabricStreamsFromEarliestAndLatest(t *testing.T) {
	net := startFabric(t, fabricnet.Options{})
	r := &killRun{t: t, p: server.New(t, fabricEnv(net, "PYRALIS_STORE_SQLITE_PATH="+t.TempDir()), "run")}
	r.p.Start()
	ctx, cancel := context.WithCancel(t.Context())
	var consumers sync.WaitGroup
	defer consumers.Wait()
	defer cancel()
	consume := func(name string, from apitypes.BlockNumber) *delivery {
		t.Helper()
		c := client.New(r.p.URL)
		kind := apitypes.StreamWebSocket
		s, err := c.CreateStream(ctx, &apitypes.EventStream{Name: &name, Type: &kind})
		require.NoError(t, err)
		_, err = c.CreateListener(ctx, s.ID.String(), &apitypes.Listener{
			Name: &name, FromBlock: &from, Filters: []json.RawMessage{json.RawMessage(`{"channel":"ch1","chaincode":"assets","event":"AssetCreated"}`)},
		})
		require.NoError(t, err)
		d := &delivery{}
		consumers.Go(func() {
			_ = (&client.Consumer{URL: r.p.URL, Stream: name, Handle: d.handle}).Run(ctx) // it ends with the test
		})
		return d
	}
	const each = 15
	create := func(prefix string) {
		t.Helper()
		for i := range each {
			id := fmt.Sprintf("%s-%02d", prefix, i)
			body := fmt.Sprintf(`{"headers":{"type":"SendTransaction","id":%q},"from":"user1","to":"ch1/assets","method":"create","params":[%q,1]}`, id, id)
			require.Eventually(t, func() bool { return r.post(id, body) }, time.Minute, 100*time.Millisecond)
		}
	}
	complete := func(d *delivery, count int) {
		t.Helper()
		require.Eventually(t, func() bool { return len(d.all()) >= count }, time.Minute, 50*time.Millisecond)
	}

	earliest := consume("from-earliest", apitypes.FromBlockEarliest)
	create("before")
	complete(earliest, each)
	latest := consume("from-latest", apitypes.FromBlockLatest)
	create("after")
	complete(earliest, 2*each)
	complete(latest, each)
	late := consume("late", apitypes.FromBlockEarliest) // begins behind the head, and joins it
	complete(late, 2*each)
	create("last")
	for d, count := range map[*delivery]int{earliest: 3 * each, latest: 2 * each, late: 3 * each} {
		complete(d, count)
	}
	server.Pause(t, time.Second) // anything that is there twice
	require.Empty(t, r.errors)
	all := earliest.all()
	require.Len(t, all, 3*each, "each event once")
	require.True(t, slices.IsSorted(all), "in the order of the chain")
	require.Equal(t, all, late.all())
	require.Equal(t, all[each:], latest.all(), "what came after the listener, and nothing else")
}
