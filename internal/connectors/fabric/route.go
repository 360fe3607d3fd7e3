package fabric

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// errSoon marks the error of a peer that does not have a block or a transaction yet and may soon. Another one is asked, and nothing is held against this one.
var errSoon = errors.New("the peer is a few blocks behind")

// orderOn lists the peers as they are to be asked about a channel: like order, but those that did not serve this channel come after those
// that may, the longest ago first. A peer may be well and not have joined the channel.
func (p *pool) orderOn(channel string) []*node {
	out := p.order()
	p.mu.Lock()
	defer p.mu.Unlock()
	slices.SortStableFunc(out, func(a, b *node) int {
		if a.health.err != nil || b.health.err != nil {
			return 0
		}
		return a.health.refused[channel].Compare(b.health.refused[channel])
	})
	return out
}

// orderBut is orderOn with some of the peers at the end.
func (p *pool) orderBut(channel string, last map[*node]bool) []*node {
	out := p.orderOn(channel)
	slices.SortStableFunc(out, func(a, b *node) int {
		switch {
		case last[a] == last[b]:
			return 0
		case last[b]:
			return -1
		default:
			return 1
		}
	})
	return out
}

// serves tells whether nothing is known against a peer on a channel.
func (p *pool) serves(n *node, channel string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return n.health.err == nil && n.health.refused[channel].IsZero()
}

// try calls f with a peer of a channel, and with the next ones as long as the answer is none: the peer was lost on the way, which for everything
// that Pyralis sends is no reason not to send it again. A peer at fault is not the first for later calls.
func (p *pool) try(ctx context.Context, channel string, f func(*node) error) error {
	return p.ask(ctx, p.orderOn(channel), channel, f, isLost)
}

// look is try for a look at the ledger, which any peer of the channel may answer better. What one of them refuses is an error only if all do.
func (p *pool) look(ctx context.Context, channel string, f func(*node) error) error {
	return p.ask(ctx, p.orderOn(channel), channel, f, passable)
}

// ask calls f with one peer after the other until the outcome is one to return.
func (p *pool) ask(ctx context.Context, nodes []*node, channel string, f func(*node) error, next func(error) bool) error {
	var failure error
	var without *node // began from a snapshot
	for _, n := range nodes {
		err := f(n)
		p.note(ctx, n, channel, err)
		if without != nil && err == nil {
			p.log.WithFields(map[string]any{"peer": without.label(), "instead": n.label(), "channel": channel}).
				Info("A peer lacks old blocks. Another one is asked for them")
		}
		if err == nil || ctx.Err() != nil || !next(err) {
			return err
		}
		failure = graver(failure, err)
		if ffcapi.KindOf(err) == ffcapi.Pruned {
			without = n
		}
	}
	return failure
}

// passable tells whether another peer of a channel may answer a look at the ledger that one answered like this.
func passable(err error) bool {
	if errors.Is(err, errSoon) {
		return true
	}
	switch e := ffcapi.AsError(err); e.Kind {
	case ffcapi.Unavailable, ffcapi.Pruned, ffcapi.RateLimited, ffcapi.Unauthorized:
		return true
	case ffcapi.NotFound:
		return notJoined(e)
	default:
		return isMalformed(err)
	}
}

// note keeps what the outcome of a call about a channel says about a peer.
func (p *pool) note(caller context.Context, n *node, channel string, err error) {
	if err == nil {
		p.worked(n)
		p.refuses(n, channel, false)
		return
	}
	if errors.Is(err, errSoon) {
		return
	}
	if passable(err) && ffcapi.KindOf(err) != ffcapi.Pruned {
		p.refuses(n, channel, true)
	}
	if atFault(caller, err) {
		p.failed(n, err)
	}
}

// refuses notes whether a peer served a channel.
func (p *pool) refuses(n *node, channel string, refused bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !refused:
		delete(n.health.refused, channel)
	case n.health.refused == nil:
		n.health.refused = map[string]time.Time{channel: time.Now()}
	default:
		n.health.refused[channel] = time.Now()
	}
}

// graver chooses what to say when several peers failed. That blocks are gone is true only if all say so; of those, the one with the most counts. Nothing
// is refused for good while a peer that did not answer may grant it.
func graver(a, b error) error {
	if a == nil || b == nil {
		return b
	}
	x, y := ffcapi.AsError(a), ffcapi.AsError(b)
	if x.Kind == ffcapi.Pruned && (y.Kind != ffcapi.Pruned || y.FirstBlock < x.FirstBlock) {
		return b
	}
	if x.Kind == ffcapi.Pruned || y.Kind == ffcapi.Pruned {
		return a
	}
	if y.Kind.Final() && !x.Kind.Final() {
		x, y = y, x
	}
	both := *y
	both.Peers = append([]ffcapi.PeerError{{Address: "before", Message: x.Message}}, slices.Concat(x.Peers, y.Peers)...)
	return &both
}
