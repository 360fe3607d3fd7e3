package fabric

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

const (
	// tailBytes bounds what the tails of all channels hold of recent blocks.
	tailBytes = 32 << 20
	// tailGrace is how long a tail goes on when nobody follows any more: the core goes on where it stopped, soon.
	tailGrace = 10 * time.Second
	// probeLimit is how long a peer may take to say where it stands. With the quiet time before, it is what a peer that hangs can hold readers up.
	probeLimit = 2 * time.Second
	// patience is how many probes may show a block that does not come before the stream counts as dead, when it is asked for the first time.
	patience = 3
)

// patience is how many probes may show a block that does not come.
func (c *Connector) patience(at blockOn) int {
	return c.peers.slow.patience(at, c.quiet, c.cfg.Timeouts.CommitStatus)
}

// tail is the one block stream at the head of a channel. It receives and decodes each new block once, for all who follow, and keeps the recent
// ones for those who are a little behind. It runs while somebody follows. When the stream fails it goes on with the next peer, at the very next
// block; readers learn of that only if no peer is left.
type tail struct {
	c       *Connector
	channel string

	mu       sync.Mutex
	ring     ring               // guarded by mu
	users    int                // guarded by mu
	node     *node              // guarded by mu; whose stream it is, nil while there is none
	leave    context.CancelFunc // guarded by mu; gives node up
	fault    error              // guarded by mu; why no peer delivers; nil while one does, or may
	lived    time.Time          // guarded by mu; when a peer last showed a block, or that there is none
	changed  chan struct{}      // guarded by mu; closed and replaced when something above changes
	stop     context.CancelFunc // guarded by mu; ends the goroutine, nil when there is none
	rest     *time.Timer        // guarded by mu; runs while nobody follows
	finished bool               // guarded by mu; the connector is closed
	again    chan struct{}      // has one element when somebody came while no peer delivered
	done     sync.WaitGroup
}

// join begins to follow, until leave.
func (t *tail) join() (leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users++
	if t.rest != nil {
		t.rest.Stop()
		t.rest = nil
	}
	if t.fault != nil { // who comes later may have better luck, and no peer was asked for a while
		t.fault = nil
		select {
		case t.again <- struct{}{}:
		default:
		}
	}
	if t.stop == nil && !t.finished {
		ctx, cancel := context.WithCancel(context.Background())
		t.stop = cancel
		t.done.Go(func() { t.run(ctx) })
	}
	return t.quit
}

func (t *tail) quit() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users--
	if t.users == 0 && !t.finished {
		t.rest = time.AfterFunc(tailGrace, t.sleep)
	}
}

// sleep ends the stream if nobody follows.
func (t *tail) sleep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users == 0 {
		t.end()
	}
}

// end stops the goroutine and lets go of everything. The caller holds mu.
func (t *tail) end() {
	if t.stop != nil {
		t.stop()
		t.stop = nil
	}
	if t.rest != nil {
		t.rest.Stop()
		t.rest = nil
	}
	t.ring.clear()
	t.node, t.leave, t.fault = nil, nil, nil
	t.wake()
}

// close ends the tail for good.
func (t *tail) close() {
	t.mu.Lock()
	t.finished = true
	t.fault = nil
	t.end()
	t.mu.Unlock()
	t.done.Wait()
}

// wake tells those who wait. The caller holds mu.
func (t *tail) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// run keeps a stream open until ctx is done.
func (t *tail) run(ctx context.Context) {
	tried := map[*node]bool{} // in this round
	for rounds := 1; ; {
		n := t.c.peers.orderBut(t.channel, tried)[0]
		progress, err := t.read(ctx, n)
		if ctx.Err() != nil {
			return
		}
		if progress {
			clear(tried)
			rounds = 1
		}
		away, forked := atFault(ctx, err), errors.Is(err, errForked)
		t.c.peers.note(ctx, n, t.channel, err)
		if errors.Is(err, errRenewed) || progress && !away && !forked {
			t.lost(ctx, err, false) // it was over for a reason of its own: the next one may go on
			continue
		}
		tried[n] = true
		round := len(tried) == len(t.c.peers.nodes) || forked
		t.lost(ctx, err, round)
		if !round {
			continue
		}
		clear(tried)
		if t.pause(ctx, t.c.peers.backoff.Delay(rounds, nil)) != nil {
			return
		}
		rounds++
	}
}

// pause waits before the peers are tried again, but not longer than until somebody comes who would follow: that is after a wait of his own.
func (t *tail) pause(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.again:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// errForked says that a peer has another chain than the one read so far. What is known is let go: it may be either.
var errForked = errors.New("the chain is another one")

// lost says that the stream of a peer is over; tell says that the readers are to know.
func (t *tail) lost(ctx context.Context, err error, tell bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil { // nobody follows any more, and another goroutine may be at work
		return
	}
	t.node, t.leave = nil, nil
	if errors.Is(err, errForked) {
		t.ring.clear()
	}
	if tell {
		t.fault = err
	}
	t.wake()
}

// errRenewed ends a stream whose reader has a new certificate: the peer would end it when the old one expires.
var errRenewed = errors.New("the identity was renewed")

// read takes the blocks of one peer. progress says that the peer delivered, or showed that there is nothing new.
func (t *tail) read(ctx context.Context, n *node) (progress bool, err error) {
	s, err := t.c.reader()
	if err != nil {
		return false, err
	}
	reading, leave := context.WithCancel(ctx)
	defer leave()
	info, e := t.c.probe(reading, n, s, t.channel)
	if e != nil {
		return false, e
	}
	start, err := t.start(n, info)
	if err != nil {
		return false, err
	}
	st, err := n.open(reading, s, t.channel, start, noEnd)
	if err != nil {
		return false, deliverError(reading, n, err)
	}
	defer st.close()
	at := &standing{t: t, n: n, s: s, leave: leave, head: info.head.Number, first: start}
	at.show(ctx)
	quiet := time.NewTimer(t.c.quiet)
	defer quiet.Stop()
	for {
		var err error
		select {
		case <-quiet.C:
			if err = at.silence(reading); len(st.blocks) > 0 {
				err = nil // it came meanwhile
			}
		case out, ok := <-st.blocks:
			var b *block
			if b, err = wait(reading, n, out, ok); err == nil {
				err = at.take(ctx, b)
			}
			at.missing, at.behind = 0, 0
		}
		if err != nil && reading.Err() != nil {
			err = ffcapi.Errorf(ffcapi.Unavailable, "%s is behind the others on %s", n.address, t.channel)
		}
		if err != nil {
			return progress, err
		}
		if !progress && at.missing == 0 {
			progress = true
			t.c.peers.note(ctx, n, t.channel, nil)
		}
		quiet.Reset(t.c.quiet)
	}
}

// start is the block to begin with: the one after the newest known, or the head.
func (t *tail) start(n *node, info chainInfo) (uint64, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.ring.newest()
	switch {
	case last == nil:
		return info.head.Number, nil
	case info.head.Number < last.Number:
		return 0, behind(n, t.channel, info.head.Number, last.Number)
	case info.head.Number == last.Number && info.head.Hash != last.Hash:
		return 0, t.forked(n, info.head.Number, info.head.Hash, last)
	default:
		return last.Number + 1, nil
	}
}

func behind(n *node, channel string, head, wanted uint64) *ffcapi.Error {
	return ffcapi.Errorf(ffcapi.Unavailable, "%s is behind: it has %d blocks of %s, not yet block %d", n.address, head+1, channel, wanted)
}

func (t *tail) forked(n *node, number uint64, hash string, last *block) *ffcapi.Error {
	return ffcapi.Errorf(ffcapi.Internal, "%s: block %d of %s is %s, which does not fit block %d (%s): %w",
		n.address, number, t.channel, hash, last.Number, last.Hash, errForked)
}

// standing is the reading of one peer.
type standing struct {
	t     *tail
	n     *node
	s     *signer
	leave context.CancelFunc
	head  uint64 // of the peer as the reading began
	first uint64 // block that was asked for

	missing int // probes in a row that showed a block of the peer which did not come
	behind  int // probes since its last block that showed one of another peer which this one does not have
	asked   int // other peers so far
}

// take puts a new block into the ring.
func (r *standing) take(ctx context.Context, b *block) error {
	t := r.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !t.ring.follows(b) {
		return t.forked(r.n, b.Number, b.Hash+" after "+b.parent, t.ring.newest())
	}
	t.ring.push(b)
	r.shown()
	return nil
}

// show is for a peer that may have no block beyond the newest known.
func (r *standing) show(ctx context.Context) {
	r.t.mu.Lock()
	defer r.t.mu.Unlock()
	if ctx.Err() == nil && r.t.ring.newest() != nil {
		r.shown()
	}
}

// shown tells those who wait. What the peer says counts as soon as all is known that it had in the beginning. The caller holds mu of the tail.
func (r *standing) shown() {
	if r.t.ring.newest().Number >= r.head {
		r.t.node, r.t.leave = r.n, r.leave
	}
	r.t.fault, r.t.lived = nil, time.Now()
	r.t.wake()
}

// silence is for a stream that says nothing: the peer must show that there is nothing new, or deliver it soon.
func (r *standing) silence(ctx context.Context) error {
	t := r.t
	if s, err := t.c.reader(); err == nil && s != r.s {
		return errRenewed
	}
	info, e := t.c.probe(ctx, r.n, r.s, t.channel)
	if e != nil {
		return e
	}
	if late, next := r.late(info); late {
		at := blockOn{t.channel, next}
		if r.missing++; r.missing >= t.c.patience(at) {
			t.c.peers.slow.gaveUp(at)
			return doesNotDeliver(r.n, t.channel, next)
		}
		return nil
	}
	r.missing = 0
	return r.overtaken(ctx, info.head.Number)
}

// late tells whether the peer has a block that did not come, and which. If not, it has shown that it is alive.
func (r *standing) late(info chainInfo) (late bool, next uint64) {
	t := r.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if last := t.ring.newest(); last == nil || info.head.Number > last.Number {
		return true, t.ring.next(r.first)
	}
	t.lived = time.Now()
	t.wake()
	return false, 0
}

// overtaken asks the other peers in turn, one each time: a peer that is cut off from the orderers, and from nobody else, says for ever that
// there is nothing new.
func (r *standing) overtaken(ctx context.Context, head uint64) error {
	others := r.t.c.peers.orderBut(r.t.channel, map[*node]bool{r.n: true})
	if others[0] == r.n {
		return nil
	}
	other := others[r.asked%(len(others)-1)]
	r.asked++
	if info, e := r.t.c.probe(ctx, other, r.s, r.t.channel); e == nil && info.head.Number > head {
		r.behind++
	}
	if r.behind >= patience {
		return ffcapi.Errorf(ffcapi.Unavailable, "%s is behind: it has no block %d of %s, which %s has", r.n.address, head+1, r.t.channel, other.address)
	}
	return nil
}

func doesNotDeliver(n *node, channel string, number uint64) *ffcapi.Error {
	return ffcapi.Errorf(ffcapi.Unavailable, "%s has block %d of %s and does not deliver it", n.address, number, channel)
}

// probe asks a peer where it stands, for a short time.
func (c *Connector) probe(ctx context.Context, n *node, s *signer, channel string) (chainInfo, *ffcapi.Error) {
	limited, cancel := context.WithTimeout(ctx, min(probeLimit, c.cfg.Timeouts.Evaluate))
	defer cancel()
	info, e := n.chainInfo(limited, s, channel)
	if e != nil && e.Kind == ffcapi.Timeout && ctx.Err() == nil {
		e.Kind, e.Message = ffcapi.Unavailable, n.address+" does not answer" // the limit was ours
	}
	return info, e
}
