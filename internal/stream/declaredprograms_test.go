package stream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// programmed declares a stream with a listener A of all events, with a where and a transform; empty ones are left out.
func programmed(where, transform string) Declared {
	d := declares("s", "A")
	l := d.Listeners[0]
	l.Filters, d.Stream.BatchSize = filters("*"), ptr(uint64(10))
	if where != "" {
		l.Where = &where
	}
	if transform != "" {
		l.Transform = &transform
	}
	return d
}

// Programs of the configuration are those of a listener: they choose and change, and another one takes effect where the listener stands.
func TestProgramsOfDeclaredListeners(t *testing.T) {
	t.Parallel()
	r := newRig(t, declaring(programmed(`.signature == "A"`, `{was: .data.n}`)), func(r *rig) { r.chain.mine("A", "B", "A") })
	id := r.listener("s", "A").ID.String()
	step := func(wantIDs, wantData []string, at string) {
		t.Helper()
		d := r.live("s")
		require.Equal(t, wantIDs, ids(t, d.Batch))
		require.Equal(t, wantData, data(t, d))
		d.finish(nil)
		r.stored(id, at)
	}
	step([]string{"1/0", "1/2"}, []string{`{"was":0}`, `{"was":2}`}, "000000000002/000000/000000")

	r.redeclare(programmed(`.signature == "B"`, ""))
	require.Equal(t, `.signature == "B"`, *r.listener("s", "A").Where)
	require.Nil(t, r.listener("s", "A").Transform)
	r.chain.mine("A", "B")
	step([]string{"2/1"}, []string{`{"n":1}`}, "000000000003/000000/000000")

	r.redeclare(programmed("", `.data.n`))
	require.Nil(t, r.listener("s", "A").Where, "what is no longer said is as by default")
	r.chain.mine("A", "B")
	step([]string{"3/0", "3/1"}, []string{`0`, `1`}, "000000000004/000000/000000")

	before := r.listener("s", "A").Updated
	r.redeclare(programmed("", `.data.n`))
	require.Equal(t, before, r.listener("s", "A").Updated, "nothing has changed")
	require.ErrorContains(t, r.refusedStart(programmed("", ".data | nothing(")), "streams[0].listeners[0].transform cannot be used")
	require.ErrorContains(t, r.refusedStart(programmed("nothing", "")), "streams[0].listeners[0].where cannot be used")
	require.Equal(t, `.data.n`, *r.listener("s", "A").Transform)
	require.Equal(t, id, r.listener("s", "A").ID.String())
}
