package stream

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestATakenNameIsSaidInASentence(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.chain.mine("A")
	r.stream("one")
	r.stream("two")
	r.listen("one", "a", "A")
	r.listen("one", "b", "A")
	r.listen("two", "b", "A")

	_, err := r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("two")})
	require.ErrorIs(t, err, store.ErrConflict)
	require.EqualError(t, err, `stream name "two" is taken`)
	_, err = r.m.UpdateStream(t.Context(), "one", &apitypes.EventStream{Name: ptr("two")})
	require.ErrorIs(t, err, store.ErrConflict)
	require.EqualError(t, err, `stream name "two" is taken`)
	_, err = r.m.CreateListener(t.Context(), "two", &apitypes.Listener{Name: ptr("b"), Filters: filters("A")})
	require.ErrorIs(t, err, store.ErrConflict)
	require.EqualError(t, err, `listener name "b" is taken`)
	_, err = r.m.UpdateListener(t.Context(), "one", "a", &apitypes.Listener{Name: ptr("b")})
	require.ErrorIs(t, err, store.ErrConflict)
	require.EqualError(t, err, `listener name "b" is taken`)

	// What was refused has changed nothing: both run.
	for _, stream := range []string{"one", "two"} {
		r.live(stream).finish(nil)
		r.caughtUp(stream)
	}
	_, err = r.m.UpdateListener(t.Context(), "two", "b", &apitypes.Listener{Name: ptr("a")})
	require.NoError(t, err, "a name is taken within its stream")
}

// A sink that lives longer than its stream's name in the store would be in the way of the stream that takes the name next.
func TestTheSinkIsClosedBeforeTheNameIsFree(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("a")
	early := func(change string) error {
		name := map[string]string{"UpdateStream": "a", "DeleteStream": "b"}[change]
		if s := r.factory.of(name); s != nil && !s.isClosed() {
			return fmt.Errorf("%s: the sink of %s is open", change, name)
		}
		return nil
	}
	r.store.setFault(early)
	_, err := r.m.UpdateStream(t.Context(), "a", &apitypes.EventStream{Name: ptr("b")})
	require.NoError(t, err)
	require.NoError(t, r.m.DeleteStream(t.Context(), "b"))
}
