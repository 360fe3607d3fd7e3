package devledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

// register is the dumb model of the contract: assets by id, and what happened.
type register struct {
	owners, values map[string]string
	events         []string
}

func (r *register) apply(from, name, id, arg string) bool {
	_, exists := r.owners[id]
	if exists == (name == "create") {
		return false
	}
	switch name {
	case "create":
		r.owners[id], r.values[id] = from, arg
		r.events = append(r.events, fmt.Sprintf(`AssetCreated {"id":%q,"value":%s,"owner":%q}`, id, arg, from))
	case "update":
		r.values[id] = arg
		r.events = append(r.events, fmt.Sprintf(`AssetUpdated {"id":%q,"value":%s,"owner":%q}`, id, arg, r.owners[id]))
	case "transfer":
		r.events = append(r.events, fmt.Sprintf(`AssetTransferred {"id":%q,"from":%q,"to":%s}`, id, r.owners[id], arg))
		r.owners[id] = arg[1 : len(arg)-1]
	case "delete":
		delete(r.owners, id)
		delete(r.values, id)
		r.events = append(r.events, fmt.Sprintf(`AssetDeleted {"id":%q}`, id))
	}
	return true
}

func (r *register) list() string {
	out := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(r.owners)) {
		out = append(out, map[string]any{"id": id, "value": json.RawMessage(r.values[id]), "owner": r.owners[id]})
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Random histories on a durable ledger that is stopped, torn and started again, against the model.
func TestLedgerAgainstModel(t *testing.T) {
	t.Parallel()
	dirs := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		dir := filepath.Join(dirs, fmt.Sprint(runs))
		cfg := devledger.DefaultConfig()
		cfg.Sequenced = rapid.Bool().Draw(rt, "sequenced")
		cfg.MaxBlockTransactions = rapid.IntRange(1, 3).Draw(rt, "block size")
		m := &modelRun{T: rt, dir: dir, cfg: cfg, model: register{map[string]string{}, map[string]string{}, nil}, nonces: map[string]uint64{}}
		m.open()
		defer func() { require.NoError(rt, m.c.Close()) }()
		rt.Repeat(map[string]func(*rapid.T){
			"block":   m.block,
			"restart": m.restart,
			"":        m.check,
		})
	})
}

type modelRun struct {
	*rapid.T
	dir    string
	cfg    devledger.Config
	c      devledger.Connector
	model  register
	nonces map[string]uint64
}

func (m *modelRun) open() {
	c, err := devledger.New(m.cfg, devledger.Options{Dir: m.dir})
	require.NoError(m, err)
	m.c = c
	require.NoError(m, c.Start(context.Background()))
	c.Knobs().Pause()
}

// block puts some transactions into as many blocks as they need. They are prepared first, so that some lose a race.
func (m *modelRun) block(t *rapid.T) {
	type sent struct {
		from, name, id, arg, hash string
	}
	var all []sent
	for range rapid.IntRange(0, 4).Draw(t, "transactions") {
		tx := sent{
			from: rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "from"), id: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "id"),
			name: rapid.SampledFrom([]string{"create", "update", "transfer", "delete"}).Draw(t, "name"),
		}
		params := []string{quote(tx.id)}
		if tx.name != "delete" {
			tx.arg = rapid.SampledFrom([]string{`"cid"`, `"ann"`}).Draw(t, "arg")
			params = append(params, tx.arg)
		}
		p, err := m.c.Prepare(context.Background(), request(tx.from, tx.name, params...))
		if err != nil {
			require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(err))
			_, exists := m.model.owners[tx.id]
			require.Equal(t, tx.name == "create", exists, "refused although the contract would not")
			continue
		}
		sub := &ffcapi.Submission{Prepared: p, From: tx.from}
		if m.cfg.Sequenced {
			n := m.nonces[tx.from]
			sub.Nonce = &n
			m.nonces[tx.from]++
		}
		s, err := m.c.Submit(context.Background(), sub)
		require.NoError(t, err)
		tx.hash = s.Hash
		all = append(all, tx)
	}
	for range all {
		require.NoError(t, m.c.Knobs().MineNow(context.Background()))
	}
	for _, tx := range all {
		r, err := m.c.Receipt(context.Background(), &ffcapi.ReceiptQuery{Hash: tx.hash})
		require.NoError(t, err)
		require.Equal(t, m.model.apply(tx.from, tx.name, tx.id, tx.arg), r.Success)
	}
}

// restart stops the ledger, leaves part of a frame behind or nothing, and starts it again.
func (m *modelRun) restart(t *rapid.T) {
	require.NoError(t, m.c.Close())
	f, err := os.OpenFile(filepath.Join(m.dir, logName), os.O_WRONLY|os.O_APPEND, 0)
	require.NoError(t, err)
	torn := []byte("PyB1\x40\x00\x00\x00crc!and some of a body")
	_, err = f.Write(torn[:rapid.IntRange(0, len(torn)).Draw(t, "torn")])
	require.NoError(t, err)
	require.NoError(t, f.Close())
	m.open()
}

func (m *modelRun) check(t *rapid.T) {
	out, err := m.c.Query(context.Background(), request("", "list"))
	require.NoError(t, err)
	require.JSONEq(t, m.model.list(), string(out))
	l, err := m.c.Listener(context.Background(), &ffcapi.ListenerSpec{Filters: []json.RawMessage{json.RawMessage(`{}`)}})
	require.NoError(t, err)
	led, err := m.c.Ledger(context.Background(), "")
	require.NoError(t, err)
	var got []string
	for page, err := range m.c.Events(context.Background(), &ffcapi.EventQuery{Listeners: []*ffcapi.Listener{l}, Upto: led.Head, Max: 2}) {
		require.NoError(t, err)
		for _, ev := range page.Events {
			got = append(got, ev.Name+" "+string(ev.Data))
		}
	}
	require.Equal(t, m.model.events, got)
}
