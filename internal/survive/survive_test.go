package survive_test

import (
	"errors"
	"iter"
	"testing"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/survive"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCall(t *testing.T) {
	t.Parallel()
	log, hook := logtest.NewNullLogger()
	told := survive.Log(logrus.NewEntry(log))
	n, err := survive.Call(told, func() (int, error) { return 7, nil })
	require.NoError(t, err)
	require.Equal(t, 7, n)
	n, err = survive.Call(told, func() (int, error) { panic("no idea") })
	var e *ffcapi.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, []any{ffcapi.Internal, ffcapi.SentMaybe, 0}, []any{e.Kind, e.Sent, n})
	require.ErrorContains(t, err, "the connector panicked: no idea")
	require.Len(t, hook.AllEntries(), 1)
	require.Contains(t, hook.LastEntry().Data["stack"], "TestCall")
	_, err = survive.Call(nil, func() (int, error) { panic(errors.New("nobody listens")) })
	require.Equal(t, ffcapi.Internal, ffcapi.KindOf(err))
}

func TestAsk(t *testing.T) {
	t.Parallel()
	_, err := survive.Ask(nil, func() (*int, error) { return nil, nil }) //nolint:nilnil // that is what is wrong
	require.Equal(t, ffcapi.Internal, ffcapi.KindOf(err))
	_, err = survive.Ask(nil, func() (*int, error) { panic("no idea") })
	require.ErrorContains(t, err, "panicked")
}

// counts yields 1 to n, and panics then, or when the loop is left.
func counts(n int) func() iter.Seq2[int, error] {
	return func() iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i+1, nil) {
					panic("left")
				}
			}
			panic("at the end")
		}
	}
}

func TestSeq(t *testing.T) {
	t.Parallel()
	var seen []int
	var last error
	for n, err := range survive.Seq(nil, counts(2)) {
		if last = err; err == nil {
			seen = append(seen, n)
		}
	}
	require.Equal(t, []int{1, 2}, seen)
	require.ErrorContains(t, last, "at the end")

	for range survive.Seq(nil, counts(2)) {
		break // its panic has nobody to hear it
	}
	for _, err := range survive.Seq(nil, func() iter.Seq2[int, error] { panic("opened") }) {
		require.ErrorContains(t, err, "opened")
	}
	require.PanicsWithValue(t, "mine", func() {
		for range survive.Seq(nil, counts(2)) {
			panic("mine")
		}
	})
}
