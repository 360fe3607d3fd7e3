package node_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore/sqlstoretest"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/builtin"
	"github.com/pyralis-io/pyralis/pkg/node"
	"github.com/pyralis-io/pyralis/pkg/plugin"
)

// door stands before a connector: it counts, holds and refuses its Prepares.
type door struct {
	ffcapi.Connector

	prepares atomic.Int64
	closed   atomic.Pointer[error]         // what Prepare answers instead
	hold     atomic.Pointer[chan struct{}] // what it waits for first
}

func (d *door) Prepare(ctx context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
	d.prepares.Add(1)
	if hold := d.hold.Load(); hold != nil {
		select {
		case <-*hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err := d.closed.Load(); err != nil {
		return nil, *err
	}
	return d.Connector.Prepare(ctx, req)
}

// sequencedDoor is a door before a chain with nonces.
type sequencedDoor struct {
	*door
	ffcapi.Sequencer
	service
}

// behind returns the built-in plug-ins with one more connector: the dev ledger behind a door.
func behind(t *testing.T, d *door) *plugin.Registry {
	t.Helper()
	inner, err := builtin.Plugins().Connector("devledger")
	require.NoError(t, err)
	r := builtin.Plugins()
	r.AddConnector(plugin.Connector{Name: "door", New: func(ctx context.Context, env plugin.Env) (ffcapi.Connector, error) {
		env.Config = json.RawMessage(`{"maxBlockTransactions":500,"sequenced":true,"finality":"instant"}`)
		c, err := inner.New(ctx, env)
		if err != nil {
			return nil, err
		}
		d.Connector = c
		life, ok := c.(service)
		require.True(t, ok)
		nonces, ok := c.(ffcapi.Sequencer)
		require.True(t, ok)
		return &sequencedDoor{d, nonces, life}, nil
	}})
	return r
}

type service interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
}

// answer is what POST / said.
type answer struct {
	status int
	replay bool
	body   string
}

// poster posts over connections of its own, which end with the test.
type poster struct {
	url  string
	http *http.Client
}

func newPoster(t *testing.T, n *node.Node) *poster {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 200}
	t.Cleanup(transport.CloseIdleConnections)
	return &poster{n.URL(), &http.Client{Transport: transport}}
}

func (p *poster) post(ctx context.Context, t *testing.T, body string) (answer, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/", bytes.NewReader([]byte(body)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("Idempotent-Replay") == "true", string(b)}, err
}

func (p *poster) must(t *testing.T, body string) answer {
	t.Helper()
	a, err := p.post(t.Context(), t, body)
	require.NoError(t, err)
	return a
}

func createBody(id string) string {
	return fmt.Sprintf(`{"headers":{"type":"SendTransaction","id":%q},"from":"alice","to":"assets","method":"create","params":[%q,1]}`, id, id)
}

// startDoor starts a node on a database, with a door before its chain.
func startDoor(t *testing.T, db string) (*door, *node.Node, *poster) {
	t.Helper()
	env := []string{"PYRALIS_CONNECTOR=door"}
	if db == sqlstoretest.Postgres {
		env = append(env, "PYRALIS_STORE_TYPE=postgres", "PYRALIS_STORE_POSTGRES_URL="+sqlstoretest.NewPlace(t, db).URL)
	}
	d := &door{}
	n := newNode(t, config(t, env...), behind(t, d))
	require.NoError(t, n.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, n.Stop(context.WithoutCancel(t.Context()))) })
	return d, n, newPoster(t, n)
}

func onBoth(t *testing.T, test func(t *testing.T, db string)) {
	t.Helper()
	for _, db := range []string{sqlstoretest.SQLite, sqlstoretest.Postgres} {
		t.Run(db, func(t *testing.T) {
			t.Parallel()
			test(t, db)
		})
	}
}

func TestOneKeyManyPosts(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db string) {
		d, n, p := startDoor(t, db)
		answers := make([]answer, 100)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() { answers[i] = p.must(t, createBody("a")) })
		}
		wg.Wait()
		require.EqualValues(t, 1, d.prepares.Load(), "one Prepare")
		fresh := 0
		var first apitypes.Transaction
		require.NoError(t, json.Unmarshal([]byte(answers[0].body), &first))
		for _, a := range answers {
			require.Equal(t, http.StatusAccepted, a.status, a.body)
			var tx apitypes.Transaction
			require.NoError(t, json.Unmarshal([]byte(a.body), &tx))
			require.Equal(t, first.ID, tx.ID)
			require.Equal(t, first.SequenceID, tx.SequenceID)
			require.Equal(t, first.Nonce, tx.Nonce)
			if !a.replay {
				fresh++
			}
		}
		require.Equal(t, 1, fresh, "one is the first, and no other says so")
		list, err := api(t, n).Transactions(t.Context(), apitypes.TransactionFilter{})
		require.NoError(t, err)
		require.Len(t, list, 1, "one record")
	})
}

func TestManyKeysManyPosts(t *testing.T) {
	t.Parallel()
	const keys, posts = 50, 50
	onBoth(t, func(t *testing.T, db string) {
		d, n, p := startDoor(t, db)
		var wg sync.WaitGroup
		for range posts {
			wg.Go(func() {
				for k := range keys {
					a := p.must(t, createBody(fmt.Sprintf("k%d", k)))
					require.Equal(t, http.StatusAccepted, a.status, a.body)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, keys, d.prepares.Load())
		list, err := api(t, n).Transactions(t.Context(), apitypes.TransactionFilter{Limit: 500})
		require.NoError(t, err)
		require.Len(t, list, keys)
		nonces := map[string]bool{}
		for _, tx := range list {
			nonces[tx.Nonce.String()] = true
		}
		for k := range keys {
			require.True(t, nonces[fmt.Sprint(k)], "no nonce is skipped")
		}
	})
}

func TestReplays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db string) {
		d, n, p := startDoor(t, db)
		a := p.must(t, createBody("a"))
		require.Equal(t, http.StatusAccepted, a.status, a.body)
		require.False(t, a.replay)

		// The same request, written otherwise, while the chain is down.
		down := error(ffcapi.Errorf(ffcapi.Unavailable, "no node answers"))
		d.closed.Store(&down)
		a = p.must(t, ` {"params": ["a", 1.0], "method":"create","to":"assets","from":"alice","headers":{"id":"a","type":"SendTransaction"}}`)
		require.Equal(t, http.StatusAccepted, a.status, a.body)
		require.True(t, a.replay)
		a = p.must(t, createBody("b"))
		require.Equal(t, http.StatusServiceUnavailable, a.status, a.body)

		a = p.must(t, `{"headers":{"type":"SendTransaction","id":"a"},"from":"alice","to":"assets","method":"create","params":["a",2]}`)
		require.Equal(t, http.StatusUnprocessableEntity, a.status, a.body)
		require.Contains(t, a.body, "PY10103")
		require.Contains(t, a.body, `"submissionRejected":true`)

		refused := error(ffcapi.Errorf(ffcapi.Reverted, "no"))
		d.closed.Store(&refused)
		a = p.must(t, createBody("b"))
		require.Equal(t, http.StatusUnprocessableEntity, a.status, a.body)
		require.Contains(t, a.body, `"submissionRejected":true`)
		status, _ := get(t, n.URL()+"/transactions/b")
		require.Equal(t, http.StatusNotFound, status, "a refusal leaves nothing behind")
		d.closed.Store(nil)
		a = p.must(t, createBody("b"))
		require.Equal(t, http.StatusAccepted, a.status, "and its key is free")
		require.False(t, a.replay)
	})
}

// Who leaves while the chain is being asked has not stopped anything that was begun: the next one finds it, once.
func TestClientThatLeaves(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, db string) {
		d, _, p := startDoor(t, db)
		hold := make(chan struct{})
		d.hold.Store(&hold)
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, err := p.post(ctx, t, createBody("a"))
			gone <- err
		}()
		require.Eventually(t, func() bool { return d.prepares.Load() == 1 }, patience, 5*time.Millisecond)
		leave()
		require.ErrorIs(t, <-gone, context.Canceled)
		close(hold)
		a := p.must(t, createBody("a"))
		require.Equal(t, http.StatusAccepted, a.status, a.body)
		require.True(t, a.replay, "it was accepted, though nobody waited for the answer")
		require.EqualValues(t, 1, d.prepares.Load())
	})
}
