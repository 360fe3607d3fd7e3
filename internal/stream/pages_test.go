package stream

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Another node may answer from another fork, or know less than the safe head.
func TestAPageFromAnotherForkIsReadAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.chain.mine("A", "A")
	bad := 3
	r.chain.spoil(func(p *ffcapi.EventPage) {
		if bad--; bad < 0 {
			return
		}
		p.Events = nil // the other fork has none of them
		p.Through.Hash = "0xother"
	})
	r.stream("s", suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(10)) })
	r.listen("s", "l", "A")
	require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
	require.Equal(t, []string{"1/0", "2/0", "2/1"}, ids(t, r.live("s").Batch))
	require.Contains(t, r.state("s").LastError, "0xother")
}

func TestAPageBeyondItsBoundsIsRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(p *ffcapi.EventPage){
		"next beyond the safe head": func(p *ffcapi.EventPage) { p.Next.Block += 5 },
		"next goes back":            func(p *ffcapi.EventPage) { p.Next = ffcapi.Cursor{} },
		"event not before next":     func(p *ffcapi.EventPage) { p.Next = p.Events[len(p.Events)-1].Cursor },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.chain.mine("B")
			r.chain.mine("A")
			r.stream("s")
			r.listenFrom("s", "1", "A")
			r.live("s").finish(nil)
			r.chain.spoil(spoil)
			r.chain.mine("A", "A")
			r.eventually(func() bool { return strings.Contains(r.state("s").LastError, "page of ledger") })
			r.quiet("s")
			r.chain.set(func(c *fakeChain) { c.tamper = nil })
			require.Equal(t, []string{"3/0", "3/1"}, ids(t, r.live("s").Batch))
		})
	}
}

func TestRepeatedEventsAreDeliveredOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A", "A")
	r.chain.spoil(func(p *ffcapi.EventPage) { p.Events = slices.Concat(p.Events, p.Events) })
	r.stream("s", func(s *apitypes.EventStream) { s.BatchSize = ptr(uint64(10)) })
	r.listen("s", "l", "A")
	require.Equal(t, []string{"1/0", "1/1"}, ids(t, r.live("s").Batch))
}

// One event may come in a form for each of two listeners. Who matches both forms of it gets the first.
func TestAnEventInTwoFormsReachesBothListeners(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]uint64{"in one batch": 10, "one by one": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.chain.mine("A", "A")
			r.chain.spoil(func(p *ffcapi.EventPage) {
				var forms []ffcapi.Event
				for _, ev := range p.Events {
					full, brief, again := ev, ev, ev
					full.Matches, brief.Matches = []int{0}, []int{1}
					brief.Data = json.RawMessage("null")
					forms = append(forms, full, brief, again)
				}
				p.Events = forms
			})
			r.stream("s", suspended, func(s *apitypes.EventStream) { s.BatchSize = ptr(size) })
			r.listen("s", "full", "A")
			r.listen("s", "brief", "A")
			require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
			var got []string
			for len(got) < 4 {
				d := r.live("s")
				for i := range d.Events {
					var ev apitypes.Event
					require.NoError(t, json.Unmarshal(d.Events[i].JSON, &ev))
					got = append(got, ev.ListenerName+" "+ev.TransactionIndex)
					require.Equal(t, ev.ListenerName == "brief", string(ev.Data) == "null", "%s", d.Events[i].JSON)
				}
				d.finish(nil)
			}
			require.Equal(t, []string{"full 0", "brief 0", "full 1", "brief 1"}, got)
			r.quiet("s")
		})
	}
}

func TestAChainThatCannotBeReachedIsTriedAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("s")
	r.chain.set(func(c *fakeChain) {
		c.fault = func(call string) error {
			if call == "Ledger" || call == "Events" {
				return ffcapi.Errorf(ffcapi.Unavailable, "%s is down", call)
			}
			return nil
		}
	})
	r.listen("s", "l", "A")
	r.eventually(func() bool { return strings.Contains(r.state("s").LastError, "Ledger is down") })
	require.Equal(t, stateStarting, r.state("s").State)
	r.chain.set(func(c *fakeChain) {
		c.fault = func(call string) error {
			if call == "Events" {
				return ffcapi.Errorf(ffcapi.Unavailable, "%s is down", call)
			}
			return nil
		}
	})
	r.eventually(func() bool { return strings.Contains(r.state("s").LastError, "Events is down") })
	r.chain.set(func(c *fakeChain) { c.fault = nil })
	require.Equal(t, []string{"1/0"}, ids(t, r.live("s").Batch))
}

// A connector that panics, or says what cannot be, has failed to read: the run goes on.
func TestAPanickingConnectorHasFailedToRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tamper func(*ffcapi.EventPage) *ffcapi.EventPage
		want   string
	}{
		"panic":         {func(*ffcapi.EventPage) *ffcapi.EventPage { panic("oh") }, "the connector panicked: oh"},
		"no page":       {func(*ffcapi.EventPage) *ffcapi.EventPage { return nil }, "neither a page nor an error"},
		"wrong matches": {func(p *ffcapi.EventPage) *ffcapi.EventPage { p.Events[0].Matches = []int{17}; return p }, "matches [17] of 1 listeners"},
		"no listener":   {func(p *ffcapi.EventPage) *ffcapi.EventPage { p.Events[0].Matches = []int{0, -1}; return p }, "matches [0 -1] of 1 listeners"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			var once sync.Once
			r.chain.set(func(f *fakeChain) {
				f.tamper = func(p *ffcapi.EventPage) *ffcapi.EventPage {
					once.Do(func() { p = c.tamper(p) })
					return p
				}
			})
			r.chain.mine("A")
			r.stream("s", suspended)
			r.listen("s", "l", "A")
			require.NoError(t, r.m.ResumeStream(t.Context(), "s"))
			d := r.live("s")
			require.Equal(t, []string{"1/0"}, ids(t, d.Batch))
			d.finish(nil)
			require.Contains(t, r.state("s").LastError, c.want)
			require.EqualValues(t, 1, r.epoch(), "it is still the first run")
		})
	}
}
