package txn

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestBacklogIsSentInTheEnd: whatever happens, in any order, all that was accepted leaves, of each signer in the order of nonces.
func TestBacklogIsSentInTheEnd(t *testing.T) {
	t.Parallel()
	type accept struct {
		l      *lane
		ticket uint64
		key    laneKey
		row    *shelved
	}
	rapid.Check(t, func(t *rapid.T) {
		s := newShelves(rapid.Bool().Draw(t, "sequenced"))
		signer := rapid.SampledFrom([]string{"ann", "bob", "cyd"})
		var accepts []*accept
		known := func(a *accept) {
			s.accepted(a.l, a.ticket, s.item(a.row))
			a.row.known = true
		}
		t.Repeat(map[string]func(*rapid.T){
			"accept": func(t *rapid.T) {
				for range rapid.IntRange(1, 8).Draw(t, "n") {
					s.accept(signer.Draw(t, "signer"))
				}
			},
			"begin": func(t *rapid.T) {
				key := laneKey{signer: signer.Draw(t, "signer")}
				l, ticket, _ := s.begin(key, 1_000_000, false)
				accepts = append(accepts, &accept{l: l, ticket: ticket, key: key})
			},
			"commit": func(t *rapid.T) {
				for _, a := range accepts {
					if a.row == nil && rapid.Bool().Draw(t, "this one") {
						a.row = s.commit(a.key.signer)
						return
					}
				}
			},
			"known": func(t *rapid.T) {
				for i, a := range accepts {
					if a.row != nil && rapid.Bool().Draw(t, "this one") {
						known(a)
						accepts = slices.Delete(accepts, i, i+1)
						return
					}
				}
			},
			"abandon": func(*rapid.T) {
				for i, a := range accepts {
					if a.row == nil {
						s.abandoned(a.l, a.ticket)
						accepts = slices.Delete(accepts, i, i+1)
						return
					}
				}
			},
			"fill": func(t *rapid.T) { // a nonce is given back, and given by the caller
				for _, r := range s.rows {
					if s.sequenced && r.known && !r.ended && !r.sent && s.items[r.id()] == nil && rapid.Bool().Draw(t, "gap") {
						r.ended = true
						s.remove(r.id())
						next := s.next[r.key]
						s.next[r.key] = r.nonce
						s.accept(r.key.signer)
						s.next[r.key] = next
						return
					}
				}
			},
			"move": func(*rapid.T) { s.move = s.sequenced },
			"restart": func(t *rapid.T) {
				if len(accepts) == 0 && rapid.Bool().Draw(t, "now") {
					s.restart()
				}
			},
			"read more": func(*rapid.T) { s.page(false) },
			"read all":  func(*rapid.T) { s.page(true) },
			"work": func(t *rapid.T) {
				s.work(t, func() (bool, bool) { return rapid.Bool().Draw(t, "sent"), rapid.Bool().Draw(t, "gone") })
			},
			"time": func(*rapid.T) {
				s.clock.at = s.clock.at.Add(time.Second)
				s.expire()
			},
			"suspend": func(t *rapid.T) {
				for _, r := range s.rows {
					if r.known && !r.ended && !r.sent && rapid.Bool().Draw(t, "this one") {
						r.held = true
						s.hold(r.id())
						return
					}
				}
			},
			"resume": func(t *rapid.T) {
				for _, r := range s.rows {
					if r.held && rapid.Bool().Draw(t, "this one") {
						r.held = false
						s.rouse(r.id(), true)
						return
					}
				}
			},
			"end": func(t *rapid.T) { // what is suspended or waits is cancelled; where there are nonces only what was sent ends
				for _, r := range s.rows {
					if r.known && !r.ended && (r.sent || !s.sequenced) && rapid.Bool().Draw(t, "this one") {
						r.ended = true
						s.remove(r.id())
						return
					}
				}
			},
			"": func(t *rapid.T) { s.check(t) },
		})

		for _, a := range accepts {
			if a.row == nil {
				s.abandoned(a.l, a.ticket)
			} else {
				known(a)
			}
		}
		for _, r := range s.rows {
			if r.held {
				r.held = false
				s.rouse(r.id(), true)
			}
			if r.sent && !r.ended {
				r.ended = true
				s.remove(r.id())
			}
		}
		for still := 0; still < 3; {
			s.clock.at = s.clock.at.Add(time.Second)
			s.expire()
			read := s.page(false)
			worked := s.work(t, func() (bool, bool) { return true, true })
			s.check(t)
			if still++; read || worked {
				still = 0
			}
		}
		for _, r := range s.rows {
			require.True(t, r.ended, "%s was left behind", r.id())
		}
		require.Empty(t, s.items)
		require.Empty(t, s.lanes)
		require.Zero(t, s.pending())
	})
}
