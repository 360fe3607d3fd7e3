package stream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// heavy makes a chain of blocks with one event of 1 KiB each, which is a page.
func heavy(r *rig, blocks int) {
	data := json.RawMessage(`"` + strings.Repeat("x", 1024) + `"`)
	r.chain.pageCap = 1
	r.chain.tamper = func(p *ffcapi.EventPage) *ffcapi.EventPage {
		for i := range p.Events {
			p.Events[i].Data = data
		}
		return p
	}
	for range blocks {
		r.chain.mine("A")
	}
}

// Batches that are being filled count, however many streams fill one; when memory is short they go as they are.
func TestBatchesBeingFilledTakeMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const streams, blocks, page = 50, 100, 2000
		r := newRig(t, func(r *rig) {
			r.opts.MaxMemory = 1 << 20
			heavy(r, blocks)
		})
		for i := range streams {
			name := fmt.Sprint(i)
			r.stream(name, suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(10000)) })
			r.listen(name, "l", "A")
		}
		for i := range streams {
			require.NoError(t, r.m.ResumeStream(t.Context(), fmt.Sprint(i)))
		}
		bounded := func() {
			t.Helper()
			synctest.Wait()
			require.LessOrEqual(t, r.chain.pagesRead()*1024, int(r.opts.MaxMemory)+streams*page)
			require.LessOrEqual(t, r.memory(), r.opts.MaxMemory*5/4+streams*page, "a buffer grows by a quarter")
		}
		bounded()
		began := time.Now()
		left := make(map[string][]*delivered)
		for i := range streams {
			name := fmt.Sprint(i)
			left[name] = append(left[name], r.live(name))
		}
		require.Zero(t, time.Since(began), "none waits for more events")
		<-time.After(time.Minute)
		bounded()
		for name, batches := range left {
			want := uint64(1)
			for ; want <= blocks; batches = append(batches, r.live(name)) {
				d := batches[0]
				for _, e := range d.Events {
					require.Equal(t, want, e.Block)
					want++
				}
				d.finish(nil)
				if batches = batches[1:]; want > blocks {
					break
				}
			}
			synctest.Wait()
		}
		require.Zero(t, r.memory(), "all memory was given back")
	})
}

// Who waits for memory is woken when there is some, or when the stream holds none, and by nothing else.
func TestWhoWaitsForMemoryIsNotWokenInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const streams = 100
		b := newBudget(1000)
		b.add(1500)
		asked, passed := make([]int, streams), make([]bool, streams)
		held, emptied := make([]int64, streams), make([]chan struct{}, streams)
		for i := range streams {
			held[i], emptied[i] = 1, make(chan struct{}, 1)
			go func() {
				err := b.wait(t.Context(), func() int64 {
					asked[i]++
					return held[i]
				}, emptied[i])
				passed[i] = err == nil
			}()
		}
		synctest.Wait()
		for range 600 { // to 900
			b.add(-1)
			synctest.Wait()
		}
		for i := range streams {
			require.Equal(t, 1, asked[i])
			require.False(t, passed[i])
		}
		held[7] = 0
		signal(emptied[7])
		synctest.Wait()
		require.True(t, passed[7])
		require.False(t, passed[8])
		b.add(-26)
		synctest.Wait()
		require.NotContains(t, passed, false)
	})
}
