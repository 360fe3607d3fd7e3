package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// What is being read is left within a second or so when the receiver goes, also where a program passes everything over and so nothing is ever in its way.
func TestReadingEndsWhenTheReceiverGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) {
			r.chain.pageCap = 1
			r.factory.setup = func(s *fakeSink) { s.absent = make(chan struct{}) }
		})
		for range 300 {
			r.chain.mine("B")
		}
		pages := 0
		r.chain.tamper = func(p *ffcapi.EventPage) *ffcapi.EventPage {
			if pages++; pages == 10 {
				r.factory.of("s").leave()
			}
			return p
		}
		r.stream("s")
		r.program("s", "l", `false`, "")
		r.factory.of("s").come()
		<-time.After(time.Minute)
		require.InDelta(t, 10, r.chain.pagesRead(), 2)
		r.factory.of("s").come()
		r.caughtUp("s")
	})
}
