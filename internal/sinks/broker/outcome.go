package broker

import (
	"errors"
	"maps"
	"slices"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// ErrWaits is what became of a message that was not tried, or does not count, since one before it comes again.
var ErrWaits = errors.New("waits for an event before it")

// Upto are the fates of n messages of which the first delivered are durable, the next one failed with err, and the rest waits for that one. A nil err
// is n messages that are durable.
func Upto(n, delivered int, err error) []error {
	errs := make([]error, n)
	if err == nil {
		return errs
	}
	for i := delivered; i < n; i++ {
		errs[i] = ErrWaits
		if i == delivered {
			errs[i] = err
		}
	}
	return errs
}

// Outcome is what done gets for a batch: messages are what was made of its events, up to one that became none, errs is what became of each of them, nil if it
// is durable, and bad what is wrong with the event behind them all, nil if there is none. What stands behind that one comes again behind it.
func (m *Maker) Outcome(b *sink.Batch, messages []Message, errs []error, bad error) error {
	whole := m.PerMessage == apitypes.MessagePerBatch // no event alone is at fault
	failed := make(map[int]error)
	next := 0
	for i := range messages {
		next = messages[i].First + messages[i].Events
		for e := messages[i].First; e < next && errs[i] != nil; e++ {
			failed[e] = errs[i]
		}
	}
	for e := next; e < len(b.Events); e++ {
		failed[e] = ErrWaits
		if e == next {
			failed[e] = bad
		}
	}
	if len(failed) == 0 {
		return nil
	}
	first := failed[slices.Min(slices.Collect(maps.Keys(failed)))]
	if len(failed) == len(b.Events) && (!sink.IsRefused(first) || whole || len(b.Events) == 1) {
		return first
	}
	return &sink.Partial{Failed: failed}
}
