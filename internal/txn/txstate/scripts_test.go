package txstate_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn/txstate"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

var update = flag.Bool("update", false, "write the scripts in testdata anew")

// TestScripts runs the scenarios in testdata. A line that begins with ">" is an input; the lines below it are what came of it.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			got := runScript(t, string(raw))
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
			}
			require.Equal(t, string(raw), got)
		})
	}
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

type script struct {
	t     *testing.T
	state txstate.State
	now   time.Time
}

func runScript(t *testing.T, text string) string {
	t.Helper()
	s := &script{t: t, now: epoch}
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, ">"):
			out.WriteString(line + "\n" + s.run(strings.Fields(line[1:])))
		case strings.HasPrefix(line, "#"), line == "":
			out.WriteString(line + "\n")
		default: // what came of an input: written anew
		}
	}
	return out.String()
}

// run carries one line out: a command, words and key=value arguments.
func (s *script) run(words []string) string {
	args := map[string]string{}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		args[k] = strings.ReplaceAll(v, "_", " ")
	}
	if d, ok := args["after"]; ok {
		s.now = s.now.Add(s.duration(d))
	}
	if words[0] == "accept" {
		s.state = accepted(args["nonce"] != "", args["hash"], s.number(args["expires"]), args["exclusive"])
		return s.render(txstate.Effects{})
	}
	if words[0] == "restart" || words[0] == "owner" {
		s.state.LastError, s.state.Sending = nil, false
		if g := args["generation"]; g != "" {
			s.state.Generation = int64(s.number(g))
		}
	}
	if words[0] == "owner" {
		return s.render(txstate.Effects{})
	}
	before := s.state
	var e txstate.Effects
	s.state, e = txstate.Step(s.state, s.input(words[0], args))
	require.Equal(s.t, before.Tx.Status.Terminal(), before.Tx.Status.Terminal() && s.state.Tx.Status == before.Tx.Status)
	if e.Renumber { // as the store does
		next := *s.state.Tx.Nonce + 1
		s.state.Tx.Nonce, s.state.Attempts[len(s.state.Attempts)-1].Nonce = &next, &next
	}
	return s.render(e)
}

func (s *script) input(cmd string, a map[string]string) txstate.Input {
	switch cmd {
	case "submit", "prepare", "wait", "reconcile", "fail":
		d := policy.Decision{Do: policy.Do(cmd), Reason: a["reason"]}
		if u, ok := a["until"]; ok {
			d.Until = s.now.Add(s.duration(u))
		}
		if st, ok := a["state"]; ok {
			d.State = []byte(strconv.Quote(st))
		}
		in := txstate.Decided{Decision: d, Now: s.now}
		if f, ok := a["fee"]; ok {
			in.Fee = []byte(f)
		}
		in.Decision.Fee, in.FeeError = raw(a["bid"]), a["unknown"]
		return in
	case "taken":
		return txstate.Answered{Hash: a["hash"], Now: s.now}
	case "error":
		e := &ffcapi.Error{Kind: ffcapi.Kind(strings.ReplaceAll(a["kind"], " ", "_")), Sent: ffcapi.Sent(a["sent"]), Hash: a["hash"], Message: a["kind"]}
		return txstate.Answered{Err: e, Now: s.now}
	case "unsent":
		return txstate.Unsent{Now: s.now}
	case "restart":
		return txstate.Resumed{Now: s.now}
	case "sighted":
		return txstate.Sighted{Now: s.now}
	case "missing":
		_, resend := a["resend"]
		return txstate.Missing{Resend: resend, Fee: raw(a["bid"]), Now: s.now}
	case "block":
		_, final := a["final"]
		_, failed := a["failed"]
		_, retryable := a["retryable"]
		o := store.Outcome{Block: ffcapi.BlockRef{Number: s.number(a["n"]), Hash: "b" + a["n"]}, Success: !failed && a["by"] == "", Retryable: retryable, Final: final, Reason: a["reason"], By: a["by"]}
		return txstate.Found{Attempt: s.attempt(a), Outcome: o, Now: s.now}
	case "undone":
		return txstate.Undone{Attempt: s.attempt(a), Now: s.now}
	case "suspend":
		return txstate.Suspend{Now: s.now}
	case "resume":
		return txstate.Resume{Now: s.now}
	case "again":
		return txstate.TryAgain{Now: s.now}
	case "cancel":
		in := txstate.Cancel{Now: s.now}
		_, in.GiveBack = a["giveback"]
		if hash, ok := a["hash"]; ok {
			in.Attempt = &store.Attempt{Hash: hash}
		}
		return in
	case "patch":
		return txstate.Patch{Attempt: store.Attempt{Hash: a["hash"]}, Request: []byte(`{}`), Now: s.now}
	case "latest":
		return txstate.Latest{Next: s.number(a["next"])}
	case "passed":
		return txstate.Passed{Block: s.number(a["n"]), Now: s.now}
	case "fresh":
		return txstate.Fresh{Attempt: store.Attempt{Hash: a["hash"]}, Now: s.now}
	case "unprepared":
		return txstate.Unprepared{Err: ffcapi.Errorf(ffcapi.Kind(a["kind"]), "%s", a["kind"]), Now: s.now}
	default:
		require.Failf(s.t, "unknown command", "%q", cmd)
		return nil
	}
}

func (s *script) attempt(a map[string]string) int {
	if n, ok := a["attempt"]; ok {
		return int(s.number(n))
	}
	return len(s.state.Attempts)
}

func (s *script) number(text string) uint64 {
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 63)
	require.NoError(s.t, err)
	return n
}

func (s *script) duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	require.NoError(s.t, err)
	return d
}

// render says what came of an input: the transaction, its attempts, and the effects.
func (s *script) render(e txstate.Effects) string {
	var b strings.Builder
	v := s.state.View()
	fmt.Fprintf(&b, "  %s/%s phase=%s", s.state.Tx.Status, s.state.Tx.Sub, v.Tx.Phase)
	if v.Tx.Replaceable {
		b.WriteString(" replaceable")
	}
	if s.state.Taken() {
		b.WriteString(" taken")
	}
	if s.state.Tx.Error != "" {
		fmt.Fprintf(&b, " error=%q", s.state.Tx.Error)
	}
	b.WriteString("\n")
	for _, a := range s.state.Attempts {
		fmt.Fprintf(&b, "    attempt %d %s hash=%q sends=%d open=%d", a.Number, a.State, a.Hash, a.Sends, a.Open)
		if a.Fee != nil {
			fmt.Fprintf(&b, " fee=%s", a.Fee)
		}
		if a.Dead != "" {
			fmt.Fprintf(&b, " dead=%q", a.Dead)
		}
		if o := a.Outcome; o != nil {
			fmt.Fprintf(&b, " block=%d success=%t final=%t", o.Block.Number, o.Success, o.Final)
		}
		b.WriteString("\n")
	}
	b.WriteString("    =>" + effects(e))
	if due := s.state.Tx.Due; !due.IsZero() {
		fmt.Fprintf(&b, " due=+%s", due.Sub(s.now))
	}
	b.WriteString("\n")
	return b.String()
}

func effects(e txstate.Effects) string {
	var b strings.Builder
	if e.Write {
		fmt.Fprintf(&b, " write%v", e.Attempts)
	}
	if e.Announce {
		b.WriteString(" announce")
	}
	if e.Wipe {
		b.WriteString(" wipe")
	}
	for _, h := range e.History {
		fmt.Fprintf(&b, " note(%s/%s)", h.Sub, h.Action)
	}
	b.WriteString(map[txstate.Do]string{txstate.Send: " SEND", txstate.Look: " LOOK", txstate.Prepare: " PREPARE", txstate.AskNonce: " ASK NONCE", txstate.UseUp: " USE UP"}[e.Do])
	if e.Ask {
		b.WriteString(" ask")
	}
	if e.Refused != nil {
		fmt.Fprintf(&b, " refused(%s)", e.Refused)
	}
	if e.GiveBack {
		b.WriteString(" give back")
	}
	if e.Renumber {
		b.WriteString(" renumber")
	}
	if e.Resend {
		b.WriteString(" or resend")
	}
	if e.Fee != nil {
		fmt.Fprintf(&b, " for %s", e.Fee)
	}
	if e.Repeats > 0 {
		fmt.Fprintf(&b, " payload of %d", e.Repeats)
	}
	if b.Len() == 0 {
		return " nothing"
	}
	return b.String()
}

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

// accepted is a transaction as the store holds it after it was accepted.
func accepted(nonce bool, hash string, expires uint64, exclusive string) txstate.State {
	s := txstate.State{
		Tx:         store.Tx{ID: "tx", Version: 1, Status: store.Pending, Sub: store.SubReceived, SubSince: epoch, From: "alice", Attempt: 1, Hash: hash, Created: epoch},
		Generation: 1,
	}
	if nonce {
		n := uint64(7)
		s.Tx.Nonce = &n
	}
	s.Attempts = []store.Attempt{{
		Tx: "tx", Number: 1, State: store.AttemptPrepared, Hash: hash, From: "alice", Nonce: s.Tx.Nonce, Expires: expires, Exclusive: exclusive,
	}}
	return s
}
