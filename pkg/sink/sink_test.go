package sink_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestDedupID(t *testing.T) {
	t.Parallel()
	l := sink.Listener{ID: "l1", Stream: "s1", Replay: "1"}
	e := sink.Event{ID: "dev::000000000001/000000/000000", Listener: &l}
	require.Equal(t, "76de2abe7b3555881fe4dd7443c71f837eb411d4c014c2579cae36263892ee63", e.DedupID(), "brokers know it from before an upgrade")
	require.Equal(t, e.DedupID(), (&sink.Event{ID: e.ID, Listener: &sink.Listener{ID: "l1", Name: "renamed", Stream: "s1", Replay: "1"}}).DedupID())
	for name, other := range map[string]sink.Event{
		"event":    {ID: "x", Listener: &l},
		"listener": {ID: e.ID, Listener: &sink.Listener{ID: "l2", Stream: "s1", Replay: "1"}},
		"stream":   {ID: e.ID, Listener: &sink.Listener{ID: "l1", Stream: "s2", Replay: "1"}},
		"replay":   {ID: e.ID, Listener: &sink.Listener{ID: "l1", Stream: "s1", Replay: "2"}},
		"shifted":  {ID: e.ID, Listener: &sink.Listener{ID: "1", Stream: "s1l", Replay: "1"}},
	} {
		require.NotEqual(t, e.DedupID(), other.DedupID(), name)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("no")
	require.True(t, sink.IsPermanent(fmt.Errorf("x: %w", sink.Permanent(cause))))
	require.False(t, sink.IsPermanent(cause))
	require.ErrorIs(t, sink.Permanent(cause), cause)
	var ra *sink.RetryAfter
	require.ErrorAs(t, fmt.Errorf("x: %w", &sink.RetryAfter{After: time.Second, Err: cause}), &ra)
	require.ErrorIs(t, ra, cause)
	require.Equal(t, "no (retry after 1s)", ra.Error())
}

func TestSync(t *testing.T) {
	t.Parallel()
	cause := errors.New("no")
	var got error
	sink.Sync(func(_ context.Context, b *sink.Batch) error {
		require.Equal(t, int64(3), b.Number)
		return cause
	})(t.Context(), &sink.Batch{Number: 3}, func(err error) { got = err })
	require.Equal(t, cause, got)
}
