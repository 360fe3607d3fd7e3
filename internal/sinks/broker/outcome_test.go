package broker_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

func TestOutcome(t *testing.T) {
	t.Parallel()
	broken, refused := errors.New("broken"), sink.Permanent(errors.New("no"))
	b := &sink.Batch{Events: make([]sink.Event, 4)}
	each := func(n int) (all []broker.Message) {
		for i := range n {
			all = append(all, broker.Message{First: i, Events: 1})
		}
		return all
	}
	one := []broker.Message{{Events: 4}}
	for name, c := range map[string]struct {
		whole    bool
		messages []broker.Message
		errs     []error
		bad      error
		want     error
		partial  map[int]error
	}{
		"all":                 {messages: each(4), errs: make([]error, 4)},
		"one batch":           {whole: true, messages: one, errs: make([]error, 1)},
		"nothing to send":     {whole: true, bad: refused, want: refused},
		"nothing before it":   {bad: refused, partial: map[int]error{0: refused, 1: broker.ErrWaits, 2: broker.ErrWaits, 3: broker.ErrWaits}},
		"nobody there":        {messages: each(4), errs: []error{broken, broken, broken, broken}, want: broken},
		"the batch refused":   {whole: true, messages: one, errs: []error{refused}, want: refused},
		"a group held up":     {messages: each(4), errs: []error{nil, broken, nil, broker.ErrWaits}, partial: map[int]error{1: broken, 3: broker.ErrWaits}},
		"the first refused":   {messages: each(4), errs: []error{refused, broker.ErrWaits, broker.ErrWaits, broker.ErrWaits}, partial: map[int]error{0: refused, 1: broker.ErrWaits, 2: broker.ErrWaits, 3: broker.ErrWaits}},
		"an event in between": {messages: each(2), errs: []error{nil, broken}, bad: refused, partial: map[int]error{1: broken, 2: refused, 3: broker.ErrWaits}},
		"no message of one":   {messages: each(2), errs: []error{nil, nil}, bad: refused, partial: map[int]error{2: refused, 3: broker.ErrWaits}},
	} {
		m := &broker.Maker{PerMessage: apitypes.MessagePerEvent}
		if c.whole {
			m.PerMessage = apitypes.MessagePerBatch
		}
		err := m.Outcome(b, c.messages, c.errs, c.bad)
		if c.partial == nil {
			require.Equal(t, c.want, err, name)
			continue
		}
		var p *sink.Partial
		require.ErrorAs(t, err, &p, name)
		require.Equal(t, c.partial, p.Failed, name)
	}
}

func TestUpto(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	require.Equal(t, []error{nil, nil}, broker.Upto(2, 2, nil))
	require.Equal(t, []error{nil, broken, broker.ErrWaits}, broker.Upto(3, 1, broken))
	require.Equal(t, []error{broken}, broker.Upto(1, 0, broken))
	require.Empty(t, broker.Upto(0, 0, broken))
}
