package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// The values of --output.
const (
	outputTable = "table"
	outputJSON  = "json"
)

func checkOutput(kind string) error {
	if kind != outputTable && kind != outputJSON {
		return fmt.Errorf("--output %q: give %s or %s", kind, outputTable, outputJSON)
	}
	return nil
}

// show prints an answer of the API.
func show(w io.Writer, kind string, answer any) error {
	if kind == outputJSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(answer)
	}
	switch a := answer.(type) {
	case []*apitypes.Transaction:
		return table(w, a)
	case *apitypes.Transaction:
		return table(w, []*apitypes.Transaction{a})
	case *apitypes.TransactionWithStatus:
		if err := table(w, []*apitypes.Transaction{&a.Transaction}); err != nil || len(a.History) == 0 {
			return err
		}
		return showHistory(w, a.History)
	case []*apitypes.EventStreamWithStatus:
		return showStreams(w, a)
	case []*apitypes.Listener:
		list := make([]*apitypes.ListenerWithStatus, len(a))
		for i := range a {
			list[i] = &apitypes.ListenerWithStatus{Listener: *a[i]}
		}
		return showListeners(w, list)
	case []*apitypes.ListenerReset:
		return showResets(w, a)
	case []*apitypes.ListenerWithStatus:
		return showListeners(w, a)
	case []*apitypes.DeadLetter:
		return letterTable(w, a)
	case *apitypes.DeadLetter:
		return showLetter(w, a)
	default:
		_, err := fmt.Fprintln(w, answer)
		return err
	}
}

func table(w io.Writer, list []*apitypes.Transaction) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tSTATUS\tSUBSTATUS\tFROM\tTO\tUPDATED\tMESSAGE")
	for _, tx := range list {
		fmt.Fprintln(tw, row(tx.ID, tx.Status, tx.SubStatus, tx.From, tx.To, clock(tx.Updated), tx.Progress.Message))
	}
	return tw.Flush()
}

func showHistory(w io.Writer, groups []apitypes.HistoryStatus) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "\nTIME\tSUBSTATUS\tACTION\tCOUNT\tERROR")
	for _, g := range groups {
		for _, a := range g.Actions {
			fmt.Fprintln(tw, row(clock(a.Time), g.SubStatus, a.Action, fmt.Sprint(a.Count), a.LastError))
		}
	}
	return tw.Flush()
}

func showStreams(w io.Writer, list []*apitypes.EventStreamWithStatus) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tTYPE\tSTATE\tLAG\tIN FLIGHT\tDELIVERED\tERROR")
	for _, s := range list {
		st := s.StreamState
		if st == nil {
			st = &apitypes.StreamStatus{State: s.Status}
		}
		lag := ""
		switch {
		case st.LagBlocks != nil:
			lag = fmt.Sprint(*st.LagBlocks)
		case st.LagTransactions != nil:
			lag = fmt.Sprint(*st.LagTransactions)
		}
		fmt.Fprintln(tw, row(text(s.Name), text(s.Type), st.State, lag, fmt.Sprint(st.InFlightBatches), fmt.Sprint(st.Delivered), st.LastError))
	}
	return tw.Flush()
}

func showListeners(w io.Writer, list []*apitypes.ListenerWithStatus) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tTYPE\tSTREAM\tFROM\tSTANDS AT\tSIGNATURE")
	for _, l := range list {
		from, stream := "", ""
		if l.FromBlock != nil {
			from = string(*l.FromBlock)
		}
		if l.Stream != nil {
			stream = l.Stream.String()
		}
		fmt.Fprintln(tw, row(text(l.Name), text(l.Type), stream, from, place(l.Checkpoint), text(l.Signature)))
	}
	return tw.Flush()
}

// showResets shows where listeners stood and begin again and, after a dry run, how many events are between.
func showResets(w io.Writer, list []*apitypes.ListenerReset) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "NAME\tTYPE\tSTOOD AT\tBEGINS AT\tAGAIN\tPASSED OVER")
	for _, l := range list {
		r := l.Reset
		if r == nil {
			r = &apitypes.ResetResult{}
		}
		again, passed := "", ""
		if r.Events != nil {
			n := fmt.Sprint(*r.Events)
			if r.AtLeast {
				n = "at least " + n
			}
			if again = n; r.Skips {
				again, passed = "", n
			}
		}
		fmt.Fprintln(tw, row(text(l.Name), text(l.Type), place(r.From), place(r.To), again, passed))
	}
	return tw.Flush()
}

// place is a position as fromBlock takes it.
func place(c *apitypes.ListenerCheckpoint) string {
	switch {
	case c == nil:
		return ""
	case c.Sequence != "":
		return c.Sequence
	default:
		return fmt.Sprintf("%d/%d/%d", c.Block, c.TransactionIndex, c.LogIndex)
	}
}

// text is what a pointer points to, "" for nil.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// row joins cells. What comes from a chain must not break the table, or command the terminal.
func row(cells ...string) string {
	for i, c := range cells {
		cells[i] = strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f && r < 0xa0 {
				return ' '
			}
			return r
		}, c)
	}
	return strings.TrimRight(strings.Join(cells, "\t"), "\t")
}

func clock(t *fftypes.FFTime) string {
	if t == nil {
		return ""
	}
	return time.Time(*t).UTC().Format("2006-01-02T15:04:05.000Z")
}
