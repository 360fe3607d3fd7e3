package stream

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Whatever is in the window, in pages of the past or in neither, a reader gets every row above its position, in order.
func TestJournalReadsEveryRow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		log := newFakeLog()
		rows := func(n int) {
			for range n {
				gap := rapid.Int64Range(0, 9).Draw(t, "gap") * rapid.Int64Range(0, 1).Draw(t, "gaps")
				log.add(tx("x", func(e *store.StatusEntry) { e.Seq = log.next + 1 + gap }))
			}
		}
		rows(rapid.IntRange(0, 40).Draw(t, "rows"))
		j := newJournal(log, "fake", logrus.NewEntry(logrus.New()))
		j.span = 7
		j.limit = rapid.IntRange(0, 4000).Draw(t, "limit")
		defer j.use()()
		more, err := j.advance(t.Context())
		require.NoError(t, err)
		require.True(t, more)
		positions := make([]int64, rapid.IntRange(1, 4).Draw(t, "readers"))
		got := make([][]int64, len(positions))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				rows(rapid.IntRange(1, 12).Draw(t, "rows"))
			case 1:
				_, err = j.advance(t.Context())
			case 2: // as far as the readers allow, less the row that they have just passed
				log.trim(slices.Min(positions) - 1)
			default:
				i := rapid.IntRange(0, len(positions)-1).Draw(t, "reader")
				head, _, _ := j.newest()
				if positions[i] < head {
					positions[i], err = readOn(t.Context(), j, positions[i], &got[i])
				}
			}
			require.NoError(t, err)
		}
		for more := true; more; {
			more, err = j.advance(t.Context())
			require.NoError(t, err)
		}
		head, _, _ := j.newest()
		for i := range positions {
			for positions[i] < head {
				positions[i], err = readOn(t.Context(), j, positions[i], &got[i])
				require.NoError(t, err)
			}
			require.Equal(t, got[0], got[i])
		}
		require.True(t, slices.IsSorted(got[0]))
		require.Len(t, got[0], log.written)
	})
}

func readOn(ctx context.Context, j *journal, after int64, got *[]int64) (int64, error) {
	list, err := j.read(ctx, after)
	if err != nil {
		return after, err
	}
	if len(list) == 0 || len(list) > int(j.span) {
		return after, fmt.Errorf("%d rows after %d", len(list), after)
	}
	for _, c := range list {
		*got = append(*got, c.seq)
	}
	return list[len(list)-1].seq, nil
}

// Whatever happens to consumer, process and log, each listener gets its changes in order and without a gap, and what Consumed allows is not
// missed.
func TestChangesModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		log := newFakeLog()
		r := newRig(t, withLog(log))
		defer r.stop()
		filters := map[string][]string{"all": nil, "failed": {`{"status":"Failed"}`}, "bob's": {`{"signer":"bob"}`}}
		names := []string{"all", "failed", "bob's"}
		want := make(map[string][]string) // not acknowledged yet
		for _, name := range names {
			r.stream(name, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(rapid.IntRange(1, 50).Draw(rt, "batch"))) })
			r.changes(name, "earliest", filters[name]...)
		}
		n := 0
		add := func() {
			rows := make([]store.StatusEntry, rapid.IntRange(1, 300).Draw(rt, "rows"))
			for i := range rows {
				n++
				failed, bob := rapid.Bool().Draw(rt, "failed"), rapid.Bool().Draw(rt, "bob")
				id := strconv.Itoa(n)
				rows[i] = tx(id, func(e *store.StatusEntry) {
					if failed {
						e.Status = store.Failed
						want["failed"] = append(want["failed"], id)
					}
					if bob {
						e.Tx.From = "bob"
						want["bob's"] = append(want["bob's"], id)
					}
				})
				want["all"] = append(want["all"], id)
			}
			log.add(rows...)
		}
		// take gets a batch, and acknowledges it or not.
		take := func(name string, ack bool) {
			if len(want[name]) == 0 {
				return
			}
			d := r.live(name)
			got := r.txIDs(d)
			require.Equal(rt, want[name][:len(got)], got, name)
			if ack {
				d.finish(nil)
				want[name] = want[name][len(got):]
			} else {
				d.finish(errTest)
			}
		}
		for range rapid.IntRange(1, 15).Draw(rt, "steps") {
			name := rapid.SampledFrom(names).Draw(rt, "stream")
			switch rapid.IntRange(0, 19).Draw(rt, "step") {
			case 0, 1, 2:
				add()
			case 3, 4:
				r.restart()
			case 5, 6:
				log.trimSafely(r.m.Consumed())
			case 7:
				take(name, false)
			default:
				take(name, true)
			}
		}
		for _, name := range names {
			for len(want[name]) > 0 {
				take(name, true)
			}
			require.NotEqual(rt, stateFailed, r.state(name).State, "%s", r.state(name).LastError)
		}
	})
}

// orderlyLog notes pages at the head that are read before somebody has subscribed to what comes after them.
type orderlyLog struct {
	*fakeLog
	subscribed, late atomic.Bool
}

func (l *orderlyLog) Changed() <-chan struct{} {
	l.subscribed.Store(true)
	return l.fakeLog.Changed()
}

func (l *orderlyLog) StatusHead(ctx context.Context) (int64, error) {
	if !l.subscribed.Load() {
		l.late.Store(true)
	}
	return l.fakeLog.StatusHead(ctx)
}

// TestTheJournalSubscribesBeforeItReads: what is written in between wakes it.
func TestTheJournalSubscribesBeforeItReads(t *testing.T) {
	t.Parallel()
	log := &orderlyLog{fakeLog: newFakeLog()}
	log.add(tx("a"))
	j := newJournal(log, "fake", logrus.NewEntry(logrus.New()))
	defer j.use()()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		j.tail(ctx)
	}()
	_, _, moved := j.newest()
	if _, ok, _ := j.newest(); !ok {
		<-moved
	}
	cancel()
	<-ended
	require.False(t, log.late.Load())
}

// trimmedLog loses its oldest rows once, right after a page was read.
type trimmedLog struct {
	*fakeLog
	upTo int64
	cut  bool
}

func (l *trimmedLog) Status(ctx context.Context, after int64, limit int) ([]store.StatusEntry, error) {
	rows, err := l.fakeLog.Status(ctx, after, limit)
	if l.cut {
		l.cut = false
		l.trim(l.upTo)
	}
	return rows, err
}

// TestATrimInTheMiddleOfAReadIsTold: whether rows are gone is looked at after a page was read, so that none of them can be missing from it unnoticed.
func TestATrimInTheMiddleOfAReadIsTold(t *testing.T) {
	t.Parallel()
	for name, span := range map[string]int64{"of the newest page": journalPage, "of the past": 7} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &trimmedLog{fakeLog: newFakeLog(), upTo: 6}
			log.addN(1, 20)
			j := newJournal(log, "fake", logrus.NewEntry(logrus.New()))
			j.span = span
			defer j.use()()
			log.cut = span == journalPage
			require.NoError(t, j.begin(t.Context()))
			log.cut = span != journalPage
			_, err := j.read(t.Context(), 5)
			require.ErrorIs(t, err, errTrimmed)
		})
	}
}
