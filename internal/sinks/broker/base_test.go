package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

type nowhere struct{ address string }

func (*nowhere) Send(_ context.Context, _ *sink.Batch, done func(error)) { done(nil) }
func (*nowhere) Close(context.Context) error                             { return nil }

func TestBase(t *testing.T) {
	t.Parallel()
	b := broker.NewBase("nowhere", settings(), func(_ context.Context, s sink.Stream, c *config) (*nowhere, error) {
		if c.Address == "bad" {
			return nil, errors.New(s.Name + " cannot be opened")
		}
		return &nowhere{c.Address}, nil
	})
	var _ interface {
		sink.Factory
		sink.Confidential
	} = &b
	require.Equal(t, "nowhere", b.Type())
	stored, err := b.Validate(json.RawMessage(`{"address":"A","login":{"user":"u","password":"canary"}}`))
	require.NoError(t, err)
	require.NotContains(t, string(b.Mask(stored)), "canary")
	kept, err := b.Keep(b.Mask(stored), stored)
	require.NoError(t, err)
	require.Equal(t, string(stored), string(kept))
	s, err := b.Open(t.Context(), sink.Stream{Name: "orders"}, kept)
	require.NoError(t, err)
	require.Equal(t, &nowhere{"a"}, s)

	for _, bad := range []string{`{"address":"bad"}`, `{"port":1}`} {
		s, err = b.Open(t.Context(), sink.Stream{Name: "orders"}, json.RawMessage(bad))
		require.Error(t, err, bad)
		require.True(t, s == nil, "no sink, rather than one that is nil: %s", bad) //nolint:testifylint // Nil would take both for the same
	}
}
