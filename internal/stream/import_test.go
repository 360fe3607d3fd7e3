package stream

import (
	"fmt"
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// moved is a stream of another server, with a listener of A that has acknowledged all below a transaction of block 1.
func moved(name string, transaction uint64) *apitypes.MovedStream {
	day := fftypes.FFTime(time.Date(2025, 1, 2, 3, 4, 5, 6789, time.UTC))
	id := fftypes.NewUUID()
	return &apitypes.MovedStream{
		EventStream: apitypes.EventStream{ID: id, Created: &day, Name: &name, BatchSize: ptr(uint64(3)), Suspended: ptr(false)},
		Notes:       []string{"of another server"},
		Listeners: []*apitypes.MovedListener{{
			Listener: apitypes.Listener{
				ID: fftypes.NewUUID(), Created: &day, Stream: id, Name: ptr("l"), Filters: filters("A"), FromBlock: ptr(apitypes.BlockNumber("latest")),
			},
			Position: &apitypes.ListenerCheckpoint{Block: 1, TransactionIndex: transaction},
		}},
	}
}

// importInto imports into the store of a rig whose process is stopped.
func (r *rig) importInto(o ImportOptions, streams ...*apitypes.MovedStream) ([]string, error) {
	r.t.Helper()
	r.stop()
	defer r.start()
	m, err := New(r.opts)
	require.NoError(r.t, err)
	entries, err := m.Import(r.t.Context(), streams, o)
	var list []string
	for _, e := range entries {
		list = append(list, fmt.Sprintf("%s %s %s %s %v", e.Stream, e.Listener, e.Action, e.Position, e.Notes))
	}
	return list, err
}

func (r *rig) imported(streams ...*apitypes.MovedStream) []string {
	r.t.Helper()
	list, err := r.importInto(ImportOptions{}, streams...)
	require.NoError(r.t, err)
	return list
}

func TestImportKeepsIDsTimesAndPositions(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "A", "A", "A")
	s := moved("s", 2)
	dry, err := r.importInto(ImportOptions{DryRun: true}, s)
	require.NoError(t, err)
	_, err = r.m.Stream(t.Context(), "s")
	require.ErrorIs(t, err, store.ErrNotFound)
	got := r.imported(s)
	require.Equal(t, []string{"s  created  [of another server]", "s l created 000000000001/000002/000000 []"}, got)
	require.Equal(t, dry, got)

	st, err := r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, s.ID, st.ID)
	require.Equal(t, s.Created.Time().UnixMicro(), st.Created.Time().UnixMicro())
	require.Equal(t, uint64(3), *st.BatchSize)
	require.Equal(t, stateSuspended, st.StreamState.State)
	l := r.listener("s", "l")
	require.Equal(t, s.Listeners[0].ID, l.ID)
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	require.Equal(t, []string{"1/2", "1/3"}, ids(t, r.live("s").Batch))
}

func TestAnImportIsRepeatedUntilTheListenersDeliver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "A", "A", "A")
	s := moved("s", 1)
	r.imported(s)
	require.Equal(t, []string{"s  unchanged  []", "s l unchanged 000000000001/000001/000000 []"}, r.imported(s))
	s.Listeners[0].Position.TransactionIndex = 2
	s.BatchSize = ptr(uint64(99))
	require.Equal(t, []string{"s  unchanged  []", "s l updated 000000000001/000002/000000 []"}, r.imported(s))
	st, err := r.m.Stream(t.Context(), "s")
	require.NoError(t, err)
	require.Equal(t, uint64(3), *st.BatchSize, "what is here stays")

	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	d := r.live("s")
	require.Equal(t, []string{"1/2", "1/3"}, ids(t, d.Batch))
	d.finish(nil)
	r.stored(s.Listeners[0].ID.String(), "000000000002/000000/000000")
	s.Listeners[0].Position.TransactionIndex = 3
	require.Equal(t, []string{"s  unchanged  []", "s l unchanged 000000000002/000000/000000 [it has been delivering here]"}, r.imported(s))
	require.Equal(t, stateLive, waitLive(r, "s"))

	require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
	_, err = r.m.ResetListener(t.Context(), "s", "l", &apitypes.Listener{FromBlock: ptr(apitypes.BlockNumber("1"))}, false)
	require.NoError(t, err)
	require.Equal(t, []string{"s  unchanged  []", "s l unchanged 000000000001/000000/000000 [it was changed here]"}, r.imported(s))
}

func waitLive(r *rig, stream string) string {
	r.eventually(func() bool { return r.state(stream).State == stateLive })
	return stateLive
}

func TestWhatCannotBeImportedIsToldAndHarmsNothingElse(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("taken", suspended)
	at := func(s *apitypes.MovedStream) *apitypes.MovedListener {
		l := *s.Listeners[0]
		l.ID = fftypes.NewUUID()
		s.Listeners = append(s.Listeners, &l)
		return &l
	}
	s := moved("s", 0)
	at(s) // has the same name
	at(s).Filters = nil
	at(s).Stays = "because"
	at(s).Type = ptr("smoke")
	at(s).Name = ptr("a\nb")
	unplaced := at(s)
	unplaced.Name, unplaced.Position = ptr("unplaced"), nil
	pigeon, taken := moved("pigeon", 0), moved("taken", 0)
	pigeon.Type = ptr("carrier pigeon")
	r.opts.Declared = []Declared{declares("declared")}
	got := r.imported(taken, pigeon, moved("declared", 0), s, moved("s", 0))
	require.Len(t, got, 16)
	for i, want := range []string{
		"taken  skipped  [its name is taken by stream ", "taken l skipped  [its stream is not taken over]",
		`pigeon  skipped  [type is "carrier pigeon"`, "pigeon l skipped  [its stream is not taken over]",
		"declared  skipped  [the configuration declares a stream of its name]", "declared l skipped ",
		"s  created ", "s l created 000000000001/000000/000000 []",
		`s l-2 created 000000000001/000000/000000 [it was called "l", as another listener of the stream is]`,
		"s l skipped  [filters is missing]", "s l skipped  [because]", `s l skipped  [type is "smoke"`, "s a\nb skipped  [name is ",
		"s unplaced created 000000000002/000000/000000 []", "s  skipped  [its name is taken by stream ", "s l skipped ",
	} {
		require.Contains(t, got[i], want)
	}
	all, err := r.m.Listeners(t.Context(), "s", 100, "")
	require.NoError(t, err)
	require.Len(t, all, 3)
}

func TestAnImportNeedsTheChainAndThenEverythingGoes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	s, other := moved("s", 0), moved("other", 0)
	r.chain.set(func(c *fakeChain) {
		c.fault = func(call string) error { return ffcapi.Errorf(ffcapi.Unavailable, "%s is down", call) }
	})
	_, err := r.importInto(ImportOptions{}, s, other)
	require.ErrorContains(t, err, `listener "l" of stream "s" cannot be resolved now, and nothing is taken over: Listener is down`)
	r.chain.set(func(c *fakeChain) { c.fault = nil })
	_, err = r.m.Stream(t.Context(), "s")
	require.ErrorIs(t, err, store.ErrNotFound)

	writes := 0
	r.store.setFault(func(call string) error {
		if call == "InsertListener" {
			if writes++; writes == 2 {
				return errTest
			}
		}
		return nil
	})
	_, err = r.importInto(ImportOptions{Resume: true}, s, other)
	require.ErrorIs(t, err, errTest)
	r.store.setFault(nil)
	again, err := r.importInto(ImportOptions{Resume: true}, s, other)
	require.NoError(t, err)
	require.Equal(t, "other l created 000000000001/000000/000000 []", again[3], "it goes on")
	require.Equal(t, []string{"1/0"}, ids(t, r.live("s").Batch), "resumed")
	require.Equal(t, []string{"1/0"}, ids(t, r.live("other").Batch))
}
