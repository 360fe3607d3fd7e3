package ffcapitest

import (
	"encoding/json"
	"slices"
	"strconv"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

var listenerPromises = []promise{
	{name: "refuses fields and values that it does not know", check: func(b *bench) {
		filter := []json.RawMessage{b.Contract.Filter}
		for name, spec := range map[string]*ffcapi.ListenerSpec{
			"noSuchField":  {Filters: []json.RawMessage{withField(b, b.Contract.Filter, "noSuchField", 1)}},
			"filters":      {Filters: []json.RawMessage{json.RawMessage(`"text"`)}},
			"fromBlock":    {Filters: filter, FromBlock: "yesterday"},
			"noSuchOption": {Filters: filter, Options: json.RawMessage(`{"noSuchOption":true}`)},
		} {
			_, err := b.Connector.Listener(b.ctx, spec)
			require.Contains(b, b.errorOf(err, ffcapi.InvalidInput).Error(), name)
		}
		_, err := b.Connector.Listener(b.ctx, &ffcapi.ListenerSpec{Filters: filter, FromBlock: "-1"})
		b.requireKind(err, ffcapi.InvalidInput)
	}},
	{name: "resolves the start", check: func(b *bench) {
		require.Equal(b, ffcapi.Cursor{}, b.listener("earliest", b.Contract.Filter).Start)
		require.Equal(b, ffcapi.BlockStart(0), b.listener("0", b.Contract.Filter).Start)
		require.Equal(b, ffcapi.BlockStart(7), b.listener("7", b.Contract.Filter).Start)
		n := strconv.FormatUint(b.start.Number+1_000_000, 10)
		require.Equal(b, ffcapi.BlockStart(b.start.Number+1_000_000), b.listener(n, b.Contract.Filter).Start)
	}},
	{name: "resolves latest once", check: func(b *bench) {
		b.placed(b.create(b.Signer(), b.id(0)))
		for _, latest := range []string{"latest", ""} {
			l := b.listener(latest, b.Contract.Filter)
			head := b.head()
			require.LessOrEqual(b, l.Start.Block, head.Number+1)
			require.Greater(b, l.Start.Block, b.start.Number)
			id := b.id(1 + len(latest))
			p := b.placed(b.create(b.Signer(), id))
			q := b.query(l.Start, p.BlockRef, 10)
			q.Listeners = []*ffcapi.Listener{l}
			require.Equal(b, []string{id}, b.ids(b.session(b.Connector, q)), "what comes after the listener, and nothing before")
		}
	}},
	{name: "gives equal listeners equal keys", check: func(b *bench) {
		l := b.listener("earliest", b.Contract.Filter)
		require.NotEmpty(b, l.Key)
		require.NotEmpty(b, l.Signature)
		require.Equal(b, l.Key, b.listener("latest", b.Contract.Filter).Key, "the start is no part of what matches")
		require.Equal(b, l.Key, b.listener("earliest", spaced(b, b.Contract.Filter)).Key, "white space is no part of what matches")
		require.Equal(b, l.Key, b.listener("earliest", b.Contract.Filter, b.Contract.Filter).Key)
		require.NotEqual(b, l.Key, b.listener("earliest", b.Contract.Other).Key)
		both := b.listener("earliest", b.Contract.Filter, b.Contract.Other)
		require.NotEqual(b, l.Key, both.Key)
		require.Equal(b, both.Key, b.listener("earliest", b.Contract.Other, b.Contract.Filter).Key, "any of the filters, in whatever order")
	}},
	{name: "is all that a session needs", needs: func(f *Fixture) bool { return f.Reopen != nil }, check: func(b *bench) {
		p := b.placed(b.create(b.Signer(), b.id(0)))
		q := b.query(b.from(), p.BlockRef, 10)
		l := *q.Listeners[0] // what a store gives back is another value with the same content
		l.Resolved = slices.Clone(l.Resolved)
		q.Listeners = []*ffcapi.Listener{&l}
		b.Connector = b.Reopen(b.T)
		require.Equal(b, []string{b.id(0)}, b.ids(b.session(b.Connector, q)))
	}},
}

// withField adds a field to a JSON object.
func withField(b *bench, raw json.RawMessage, name string, value any) json.RawMessage {
	b.Helper()
	var obj map[string]any
	require.NoError(b, json.Unmarshal(raw, &obj), "the filter of a fixture is a JSON object")
	obj[name] = value
	out, err := json.Marshal(obj)
	require.NoError(b, err)
	return out
}

// spaced writes a JSON value with other white space.
func spaced(b *bench, raw json.RawMessage) json.RawMessage {
	b.Helper()
	var v any
	require.NoError(b, json.Unmarshal(raw, &v))
	out, err := json.MarshalIndent(v, "  ", "\t")
	require.NoError(b, err)
	return out
}
