package stream

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// slowChain does not answer about listeners while it is held.
type slowChain struct {
	*fakeChain
	held  chan struct{} // nil: it is not; closed when it answers again
	asked chan struct{}
}

func (c *slowChain) Listener(ctx context.Context, spec *ffcapi.ListenerSpec) (*ffcapi.Listener, error) {
	if c.held != nil {
		c.asked <- struct{}{}
		<-c.held
	}
	return c.fakeChain.Listener(ctx, spec)
}

// newSlowRig is a rig whose chain can be held.
func newSlowRig(t *testing.T) (*rig, *slowChain) {
	t.Helper()
	slow := &slowChain{asked: make(chan struct{}, 10)}
	r := newRig(t, func(r *rig) {
		slow.fakeChain = r.chain
		r.opts.Connector = slow
	})
	return r, slow
}

type listenerChange func(r *rig, l string) error

// listenerChanges are the changes of a listener that is there.
func listenerChanges() map[string]listenerChange {
	return map[string]listenerChange{
		"update": func(r *rig, l string) error {
			_, err := r.m.UpdateListener(r.t.Context(), "s", l, &apitypes.Listener{Where: ptr("true")})
			return err
		},
		"reset": func(r *rig, l string) error {
			_, err := r.m.ResetListener(r.t.Context(), "s", l, nil, false)
			return err
		},
		"reset of the stream": func(r *rig, _ string) error {
			_, err := r.m.ResetStream(r.t.Context(), "s", nil, false)
			return err
		},
	}
}

// A chain that does not answer about a listener holds up no other change of its stream.
func TestAListenerThatIsBeingCheckedHoldsUpNoChange(t *testing.T) {
	t.Parallel()
	changes := listenerChanges()
	changes["create"] = func(r *rig, _ string) error {
		_, err := r.m.CreateListener(r.t.Context(), "s", &apitypes.Listener{Filters: filters("B")})
		return err
	}
	changes["dry run"] = func(r *rig, l string) error {
		_, err := r.m.ResetListener(r.t.Context(), "s", l, nil, true)
		return err
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, slow := newSlowRig(t)
			r.stream("s")
			l := r.listen("s", "l", "A")
			slow.held = make(chan struct{})
			changed := make(chan error, 1)
			go func() { changed <- change(r, l) }()
			<-slow.asked
			require.NoError(t, r.m.SuspendStream(t.Context(), "s"))
			_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{BatchSize: ptr(uint64(9))})
			require.NoError(t, err)
			close(slow.held)
			require.NoError(t, <-changed)
		})
	}
}

// What somebody else has made of a listener while it was being checked is not undone.
func TestAChangeOfAListenerSeesTheOneBeforeIt(t *testing.T) {
	t.Parallel()
	for name, change := range listenerChanges() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, slow := newSlowRig(t)
			r.stream("s", suspended)
			l := r.listen("s", "l", "A")
			slow.held = make(chan struct{})
			changed := make(chan error, 1)
			go func() { changed <- change(r, l) }()
			<-slow.asked
			other, err := r.store.Listener(t.Context(), l)
			require.NoError(t, err)
			other.Name, other.Updated = "renamed", other.Updated.Add(1)
			require.NoError(t, r.store.UpdateListener(t.Context(), other))
			close(slow.held)
			require.NoError(t, <-changed)
			require.Equal(t, "renamed", *r.show(l).Name)
		})
	}
}

// stubborn makes sinks that do not end as they should.
type stubborn struct{ *fakeFactory }

func (f stubborn) Open(ctx context.Context, s sink.Stream, cfg json.RawMessage) (sink.Sink, error) {
	out, err := f.fakeFactory.Open(ctx, s, cfg)
	return stubbornSink{out}, err
}

type stubbornSink struct{ sink.Sink }

func (stubbornSink) Close(context.Context) error { return errTest }

// A change that was made is not answered with an error because the sink of before does not end as it should.
func TestASinkThatDoesNotEndWellFailsNoChange(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(r *rig) { r.opts.Sinks = []sink.Factory{stubborn{r.factory}} })
	id := r.stream("s")
	_, err := r.m.UpdateStream(t.Context(), "s", &apitypes.EventStream{Name: ptr("other")})
	require.NoError(t, err)
	require.NoError(t, r.m.DeleteStream(t.Context(), "other"))
	_, err = r.m.Stream(t.Context(), id)
	require.ErrorIs(t, err, store.ErrNotFound)
}

// A store that is away is not told as trouble with a name.
func TestATroubleOfTheStoreIsNotOneOfTheName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stream("s")
	l := r.listen("s", "l", "A")
	r.store.setFault(func(call string) error {
		if call == "ResetCheckpoints" || call == "InsertStream" {
			return store.ErrUnavailable
		}
		return nil
	})
	defer r.store.setFault(nil)
	_, err := r.m.ResetListener(t.Context(), "s", l, nil, false)
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NotContains(t, err.Error(), "name")
	_, err = r.m.CreateStream(t.Context(), &apitypes.EventStream{Name: ptr("x")})
	require.ErrorIs(t, err, store.ErrUnavailable)
	require.NotContains(t, err.Error(), "name")
}
