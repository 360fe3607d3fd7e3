package ffcapi_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// anyCursor draws cursors whose parts are often equal, so that orders are decided by each part in turn.
func anyCursor(t *rapid.T, label string, block, inBlock uint64) ffcapi.Cursor {
	part := func(name string, most uint64) uint64 {
		return rapid.OneOf(rapid.Uint64Range(0, 2), rapid.Uint64Range(0, most)).Draw(t, label+name)
	}
	return ffcapi.Cursor{Block: part(" block", block), Tx: part(" tx", inBlock), Log: part(" log", inBlock)}
}

func TestCursorTextSortsInChainOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := anyCursor(t, "a", 999_999_999_999, 999_999)
		b := anyCursor(t, "b", 999_999_999_999, 999_999)
		require.Equal(t, a.Compare(b), cmp.Compare(a.String(), b.String()))
		require.Equal(t, a.Compare(b) < 0, a.Before(b))
		require.Equal(t, a == b, a.Compare(b) == 0)
		require.Equal(t, a.Compare(b), -b.Compare(a))
	})
}

func TestCursorTextRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := anyCursor(t, "c", math.MaxUint64, math.MaxUint64)
		require.Equal(t, fmt.Sprintf("%012d/%06d/%06d", c.Block, c.Tx, c.Log), c.String())
		got, err := ffcapi.ParseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, got)
		raw, err := json.Marshal(c)
		require.NoError(t, err)
		require.JSONEq(t, `"`+c.String()+`"`, string(raw))
		var back ffcapi.Cursor
		require.NoError(t, json.Unmarshal(raw, &back))
		require.Equal(t, c, back)
	})
}

func TestCursorNextIsTheNextPosition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := anyCursor(t, "c", 1000, 1000)
		d := anyCursor(t, "d", 1000, 1000)
		require.True(t, c.Before(c.Next()))
		require.False(t, c.Before(d) && d.Before(c.Next()), "nothing is in between")
	})
	require.Equal(t, ffcapi.Cursor{Block: 7}, ffcapi.BlockStart(7))
	require.Equal(t, ffcapi.Cursor{}, ffcapi.BlockStart(0))
}

func TestParseCursorRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "1", "1/2", "1/2/3/4", "1/2/", "/2/3", "1/x/3", "-1/2/3", "+1/2/3", "1/2/0x3", " 1/2/3", "1/2/1e3",
		strings.Repeat("9", 30) + "/0/0",
	} {
		got, err := ffcapi.ParseCursor(s)
		require.Error(t, err, s)
		require.Contains(t, err.Error(), fmt.Sprintf("%q", s))
		require.Equal(t, ffcapi.Cursor{}, got)
	}
	var c ffcapi.Cursor
	require.Error(t, json.Unmarshal([]byte(`"1/2"`), &c))
}

func TestCursorAppendTextDoesNotAllocate(t *testing.T) { //nolint:paralleltest // AllocsPerRun is for tests that run alone
	c := ffcapi.Cursor{Block: 123456, Tx: 7, Log: 8}
	buf := make([]byte, 0, 64)
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = c.AppendText(buf) }))
}

func TestBlockRefIsZero(t *testing.T) {
	t.Parallel()
	require.True(t, ffcapi.BlockRef{}.IsZero())
	require.False(t, ffcapi.BlockRef{Hash: "0x1"}.IsZero(), "block 0 is a block")
}
