package ffcapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

func TestKindFinal(t *testing.T) {
	t.Parallel()
	final := []ffcapi.Kind{
		ffcapi.InvalidInput, ffcapi.Unauthorized, ffcapi.NotFound, ffcapi.Reverted, ffcapi.Endorsement, ffcapi.InsufficientFunds, ffcapi.Unsupported,
	}
	open := []ffcapi.Kind{
		ffcapi.NonceTooLow, ffcapi.Underpriced, ffcapi.KnownTransaction, ffcapi.Conflict, ffcapi.RateLimited, ffcapi.Unavailable,
		ffcapi.Timeout, ffcapi.Pruned, ffcapi.Internal, "a kind of the future",
	}
	for _, k := range final {
		require.True(t, k.Final(), k)
	}
	for _, k := range open {
		require.False(t, k.Final(), k)
	}
}

func TestErrorText(t *testing.T) {
	t.Parallel()
	for want, e := range map[string]*ffcapi.Error{
		"timeout":                 {Kind: ffcapi.Timeout},
		"no route":                {Kind: ffcapi.Unavailable, Err: errors.New("no route")},
		"submit: it is down":      {Kind: ffcapi.Unavailable, Stage: "submit", Message: "it is down", Err: io.EOF},
		"endorse: no; p1: bad":    {Stage: "endorse", Message: "no", Peers: []ffcapi.PeerError{{Address: "p1", Message: "bad"}}},
		"no; p1 (A): x; p2: y":    {Message: "no", Peers: []ffcapi.PeerError{{Address: "p1", MSP: "A", Message: "x"}, {Address: "p2", Message: "y"}}},
		"prepare: internal; p: m": {Kind: ffcapi.Internal, Stage: "prepare", Peers: []ffcapi.PeerError{{Address: "p", Message: "m"}}},
	} {
		require.EqualError(t, e, want)
	}
}

func TestErrorf(t *testing.T) {
	t.Parallel()
	e := ffcapi.Errorf(ffcapi.Unavailable, "peer %s: %w", "p1", io.ErrUnexpectedEOF)
	require.EqualError(t, e, "peer p1: unexpected EOF")
	require.ErrorIs(t, e, io.ErrUnexpectedEOF)
	require.Equal(t, ffcapi.Unavailable, e.Kind)
	require.NoError(t, ffcapi.Errorf(ffcapi.Internal, "no cause").Err)
}

func TestAsError(t *testing.T) {
	t.Parallel()
	require.Nil(t, ffcapi.AsError(nil))
	require.Empty(t, ffcapi.KindOf(nil))
	e := &ffcapi.Error{Kind: ffcapi.Conflict}
	require.Same(t, e, ffcapi.AsError(fmt.Errorf("tx 1: %w", e)))
	for err, kind := range map[error]ffcapi.Kind{
		context.Canceled:                                 ffcapi.Timeout,
		context.DeadlineExceeded:                         ffcapi.Timeout,
		fmt.Errorf("call: %w", context.DeadlineExceeded): ffcapi.Timeout,
		io.EOF: ffcapi.Internal,
		e:      ffcapi.Conflict,
	} {
		got := ffcapi.AsError(err)
		require.Equal(t, kind, got.Kind)
		require.ErrorIs(t, got, err)
		require.Equal(t, kind, ffcapi.KindOf(err))
	}
}
