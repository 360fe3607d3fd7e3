package fabric

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// limiter refuses calls as a peer does that has as many of a service as it may have: with an error that has no code.
type limiter struct{ full atomic.Pointer[[]string] }

// Services that peers limit.
const (
	gatewayService  = "/gateway.Gateway"
	endorserService = "/protos.Endorser"
	deliverService  = "/protos.Deliver"
)

// fill names the services that have no room, all others have.
func (l *limiter) fill(services ...string) { l.full.Store(&services) }

func (l *limiter) check(method string) error {
	service := method[:strings.LastIndex(method, "/")]
	if full := l.full.Load(); full != nil && slices.Contains(*full, service) {
		return errors.New("too many requests for " + service + ", exceeding concurrency limit (1)")
	}
	return nil
}

func (l *limiter) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := l.check(info.FullMethod); err != nil {
		return nil, err
	}
	return handle(ctx, req)
}

func (l *limiter) stream(srv any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := l.check(info.FullMethod); err != nil {
		return err
	}
	return handle(srv, s)
}

func limitedPeer(t *testing.T) (*fakePeer, *limiter) {
	t.Helper()
	l := &limiter{}
	return newFakePeer(t, grpc.UnaryInterceptor(l.unary), grpc.StreamInterceptor(l.stream)), l
}

func TestLookUpsOnPeersThatAreBusy(t *testing.T) {
	t.Parallel()
	a, first := limitedPeer(t)
	b, second := limitedPeer(t)
	for i := range 3 {
		a.mine(eventTx(fmt.Sprint("tx-", i)))
	}
	shareChain(a, b)
	head := a.ref(3)
	all, err := connect(t, a).Listener(t.Context(), &ffcapi.ListenerSpec{Filters: raws(`{"chaincode":"assets"}`), FromBlock: "earliest"})
	require.NoError(t, err)
	for name, look := range map[string]func(*Connector) error{
		"Ledger": func(c *Connector) error { _, err := c.Ledger(t.Context(), "ch1"); return err },
		"Block":  func(c *Connector) error { _, err := c.Block(t.Context(), "ch1", 2); return err },
		"Receipt": func(c *Connector) error {
			_, err := c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Ledger: "ch1", Hash: "tx-1"})
			return err
		},
		"Events": func(c *Connector) error {
			for _, err := range c.Events(t.Context(), &ffcapi.EventQuery{Ledger: "ch1", Listeners: []*ffcapi.Listener{all}, Upto: head}) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Blocks": func(c *Connector) error {
			for _, err := range c.Blocks(t.Context(), "ch1", ffcapi.BlockRef{}) {
				return err
			}
			return errors.New("no block")
		},
	} {
		c := connect(t, a, b)
		first.fill(endorserService, deliverService)
		second.fill()
		require.NoError(t, look(c), "%s: the other peer is asked", name)
		require.NotEqual(t, stateFailed, c.peers.snapshot(c.peers.nodes[0]).State, "%s: it is well", name)

		second.fill(endorserService, deliverService)
		c = connect(t, a, b)
		e := requireKind(t, look(c), ffcapi.RateLimited, overLimit)
		require.Equal(t, restOf, e.RetryAfter, name)
		require.NotEmpty(t, e.Peers, name)
		require.Contains(t, []string{a.address, b.address}, e.Peers[len(e.Peers)-1].Address, name)
		first.fill()
		require.Eventually(t, func() bool { return look(c) == nil }, 10*time.Second, 10*time.Millisecond, "%s: there is room again", name)
	}
}

// What a busy gateway refuses has not left, and the next call goes to another peer.
func TestGatewaysThatAreBusy(t *testing.T) {
	t.Parallel()
	a, first := limitedPeer(t)
	b, second := limitedPeer(t)
	c := connect(t, a, b)
	sub := latePrepared(t, c, "a")
	for name, call := range map[string]func() error{
		"Prepare": func() error { _, err := c.Prepare(t.Context(), fakeRequest("user1", "create", "b", "1")); return err },
		"Query":   func() error { _, err := c.Query(t.Context(), fakeRequest("", "read", "a")); return err },
		"Submit":  func() error { _, err := c.Submit(t.Context(), sub); return err },
	} {
		first.fill(gatewayService)
		second.fill(gatewayService)
		e := requireKind(t, call(), ffcapi.RateLimited, overLimit)
		require.Equal(t, restOf, e.RetryAfter, name)
		require.Contains(t, []string{a.address, b.address}, e.Peers[0].Address, "%s: who says so", name)
		if name == "Submit" {
			require.Equal(t, ffcapi.SentNo, e.Sent)
			require.Equal(t, sub.Prepared.Hash, e.Hash)
		}
		for _, n := range c.peers.nodes {
			require.NotEqual(t, stateFailed, c.peers.snapshot(n).State, name)
		}
	}
	require.Zero(t, a.submits+b.submits)
	first.fill()
	second.fill()
	_, err := c.Submit(t.Context(), sub)
	require.NoError(t, err)

	c = connect(t, a, b)
	first.fill(gatewayService)
	_, err = c.Prepare(t.Context(), fakeRequest("user1", "create", "c", "1"))
	requireKind(t, err, ffcapi.RateLimited, overLimit)
	_, err = c.Prepare(t.Context(), fakeRequest("user1", "create", "c", "1"))
	require.NoError(t, err, "the other one has room")
}
