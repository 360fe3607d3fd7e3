package sqlstore

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"github.com/pyralis-io/pyralis/internal/store"
)

// historyJSON is a history entry as it is kept beside the request: what is known at acceptance costs no rows of its own.
type historyJSON struct {
	Sub    store.SubStatus `json:"s"`
	Action string          `json:"a,omitempty"`
	Time   int64           `json:"t"`
	Last   int64           `json:"l"`
	Count  int             `json:"c"`
	Error  string          `json:"e,omitempty"`
	Info   json.RawMessage `json:"i,omitempty"`
}

func encodeHistory(hs []store.History) (string, error) {
	if s, short := shortHistory(hs); short {
		return s, nil
	}
	out := make([]historyJSON, len(hs))
	for i := range hs {
		h := normal(hs[i], time.Time{})
		out[i] = historyJSON{
			Sub: h.Sub, Action: h.Action, Time: toMicros(h.Time), Last: toMicros(h.Last), Count: h.Count, Error: h.Error, Info: h.Info,
		}
	}
	return jsonText(out)
}

// shortHistory is the form "sub-status/action" of a history that says no more than that, as most do that a transaction is accepted with.
func shortHistory(hs []store.History) (string, bool) {
	if len(hs) != 1 {
		return "", false
	}
	h := &hs[0]
	if !h.Time.IsZero() || !h.Last.IsZero() || h.Count > 1 || h.Error != "" || h.Info != nil || strings.ContainsAny(string(h.Sub), "/[") {
		return "", false
	}
	return text(string(h.Sub) + "/" + h.Action), true
}

// decodeHistory reads what encodeHistory made; entries without a time were made at created.
func decodeHistory(s string, created time.Time) ([]store.History, error) {
	if s == "" {
		return nil, nil
	}
	if sub, action, short := strings.Cut(s, "/"); short && s[0] != '[' {
		return []store.History{normal(store.History{Sub: store.SubStatus(sub), Action: action}, created)}, nil
	}
	var in []historyJSON
	if err := json.Unmarshal([]byte(s), &in); err != nil {
		return nil, fmt.Errorf("decode history: %w", err)
	}
	out := make([]store.History, len(in))
	for i, h := range in {
		out[i] = normal(store.History{
			Sub: h.Sub, Action: h.Action, Time: fromMicros(h.Time), Last: fromMicros(h.Last), Count: h.Count, Error: h.Error, Info: h.Info,
		}, created)
	}
	return out, nil
}

// normal fills in what an entry may leave out.
func normal(h store.History, now time.Time) store.History {
	if h.Time.IsZero() {
		h.Time = now
	}
	if h.Last.IsZero() || h.Last.Before(h.Time) {
		h.Last = h.Time
	}
	h.Count = max(h.Count, 1)
	return h
}

// same reports whether b says what a said already.
func same(a, b *store.History) bool {
	return a.Sub == b.Sub && a.Action == b.Action && a.Error == b.Error && string(a.Info) == string(b.Info)
}

// fold appends h to hs, into the last one if that says the same.
func fold(hs []store.History, h store.History) []store.History {
	if n := len(hs); n > 0 && same(&hs[n-1], &h) {
		hs[n-1].Count += h.Count
		hs[n-1].Last = h.Last
		return hs
	}
	return append(hs, h)
}

// foldMark tells whether a new entry says what the newest stored one says, without reading it: it is kept in the transaction's row.
func foldMark(h *store.History) int64 {
	m := fnv.New64a()
	for _, part := range [...]string{string(h.Sub), h.Action, h.Error, string(h.Info)} {
		_, _ = m.Write([]byte(part)) // a hash never fails
		_, _ = m.Write([]byte{0})
	}
	return bits(m.Sum64() | 1) // never 0, which is the mark of no entry
}

// maxHistory is how many entries of a transaction are kept, beside those of its acceptance: the oldest go first. One that is refused
// again and again, each time in other words, must not fill the disk.
const maxHistory = 500

// historyHead is the newest entry of a transaction's history as its row knows it.
type historyHead struct {
	n    int64 // its number, 0: there is none in the table
	mark int64
}

// writeHistory stores entries of the transaction in row seq and returns the new head.
func (g *group) writeHistory(seq int64, head historyHead, entries []store.History) historyHead {
	had := head.n
	fresh := len(g.rows.history) // rows from here on are of this call
	now := fromMicros(g.now)
	for _, h := range entries {
		h = normal(h, now)
		h.Error, h.Info = text(h.Error), json.RawMessage(text(string(h.Info)))
		mark := foldMark(&h)
		if mark != head.mark {
			head = historyHead{n: head.n + 1, mark: mark}
			g.rows.history = append(g.rows.history, []any{
				seq, head.n, string(h.Sub), h.Action, toMicros(h.Time), toMicros(h.Last), int64(h.Count), h.Error, rawValue(h.Info),
			})
			continue
		}
		if n := len(g.rows.history); n > fresh {
			last := g.rows.history[n-1]
			last[5], last[6] = toMicros(h.Last), row(last).int(6)+int64(h.Count)
			continue
		}
		g.session.exec(sqlFoldHistory, anyRows, toMicros(h.Last), int64(h.Count), seq, head.n)
	}
	if head.n > maxHistory && head.n > had {
		g.session.exec(sqlForgetHistory, anyRows, seq, head.n-maxHistory)
	}
	return head
}
