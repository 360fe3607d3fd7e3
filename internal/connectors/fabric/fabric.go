package fabric

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Options are what a Connector needs besides its configuration.
type Options struct {
	// Log receives what is worth knowing and has no caller to be told; nil for nothing.
	Log *logrus.Entry
}

// Connector is a Fabric network. Close it when it is no longer needed.
type Connector struct {
	cfg    Config
	peers  *pool
	wallet *wallet
	client *clientCert // nil without mutual TLS
	expiry *expiry
	looked atomic.Int64 // when all certificates were looked at, in Unix nanoseconds
	log    *logrus.Entry

	tails tails
	rules rules

	// quiet is how long a block stream may say nothing before the peer is probed.
	quiet time.Duration
	// life is after how long the head is shown again when there is no new block. The core wants a sign of life every 30 s.
	life time.Duration
}

var (
	_ ffcapi.Connector  = (*Connector)(nil)
	_ ffcapi.Finisher   = (*Connector)(nil)
	_ ffcapi.Identities = (*Connector)(nil)
	_ ffcapi.Health     = (*Connector)(nil)
)

// New reads who the peers are and checks that the identity of Config.Identity can be used. It does not wait for any peer.
func New(ctx context.Context, cfg Config, o Options) (*Connector, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		l := logrus.New()
		l.SetLevel(logrus.PanicLevel)
		o.Log = logrus.NewEntry(l)
	}
	w, err := newWallet(&cfg, o.Log)
	if err != nil {
		return nil, err
	}
	if _, err := w.find("fabric.identity", cfg.Identity); err != nil { // one that has expired may be renewed meanwhile
		return nil, err
	}
	known, err := endpoints(ctx, &cfg)
	if err != nil {
		return nil, err
	}
	client, err := newClientCert(ctx, cfg.TLS, o.Log)
	if err != nil {
		return nil, err
	}
	if client != nil {
		client.expiry = w.expiry
	}
	peers, err := newPool(known, &cfg, client, o.Log)
	if err != nil {
		return nil, err
	}
	c := &Connector{cfg: cfg, peers: peers, wallet: w, client: client, expiry: w.expiry, log: o.Log, quiet: 2 * time.Second, life: 15 * time.Second}
	for _, n := range peers.nodes {
		n.tick = c.lookAtCertificates
	}
	return c, nil
}

// Close ends the block streams and the connections.
func (c *Connector) Close() error {
	c.tails.close()
	return c.peers.close()
}

// reader is who reads ledgers.
func (c *Connector) reader() (*signer, error) {
	return c.wallet.signer("fabric.identity", c.cfg.Identity)
}

// channel checks that a channel may be used.
func (c *Connector) channel(name string) error {
	if slices.Contains(c.cfg.Channels, name) {
		return nil
	}
	return ffcapi.Errorf(ffcapi.NotFound, "there is no channel %q: fabric.channels has %q", name, c.cfg.Channels)
}

// visit calls f with a peer, the reader's identity and a time limit, and again with the next peer if that one does not serve.
func (c *Connector) visit(ctx context.Context, limit time.Duration, channel string, f func(context.Context, *node, *signer) error) error {
	if err := c.channel(channel); err != nil {
		return err
	}
	s, err := c.reader()
	if err != nil {
		return err
	}
	if done := inContext(ctx, stageLedger); done != nil {
		return done
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return c.peers.look(ctx, channel, func(n *node) error { return s.blame(f(limited, n, s)) })
}

// search is visit for what one peer may have and another one not yet. Once one does not have it, the others that are well are asked, too, for a short
// time each. It is not there if one says so and none has it.
func (c *Connector) search(ctx context.Context, limit time.Duration, channel string, f func(context.Context, *node, *signer) error) error {
	var absent *ffcapi.Error
	err := c.visit(ctx, limit, channel, func(ctx context.Context, n *node, s *signer) error {
		asked := ctx
		if absent != nil {
			if !c.peers.serves(n, channel) {
				return absent
			}
			limited, cancel := context.WithTimeout(ctx, min(probeLimit, c.cfg.Timeouts.Evaluate))
			defer cancel()
			asked = limited
		}
		err := f(asked, n, s)
		if err != nil && asked.Err() != nil && ctx.Err() == nil {
			return absent // that time was short: nothing is held against the peer, and the next one is asked
		}
		e := ffcapi.AsError(err)
		if e == nil || e.Kind != ffcapi.NotFound || notJoined(e) {
			return err
		}
		if absent == nil {
			e.Err = errSoon
			absent = e
		}
		return absent
	})
	if err != nil && absent != nil && ctx.Err() == nil {
		return absent
	}
	return err
}

// blame names the identity in the error of a peer that does not let it in.
func (s *signer) blame(err error) error {
	e := ffcapi.AsError(err)
	if e == nil || e.Kind != ffcapi.Unauthorized {
		return err
	}
	named := *e
	named.Message = fmt.Sprintf("identity %q of %s: %s", s.name, s.id.MspID(), e.Message)
	return &named
}

// atFault tells whether a call failed because of the peer that was asked: it is not available, or it had all the time there was. A
// caller who left before says nothing about the peer.
func atFault(caller context.Context, err error) bool {
	switch ffcapi.KindOf(err) {
	case ffcapi.Unavailable:
		return true
	case ffcapi.Timeout:
		return !errors.Is(caller.Err(), context.Canceled)
	default:
		return false
	}
}

// Ledger implements ffcapi.Connector.
func (c *Connector) Ledger(ctx context.Context, ledger string) (*ffcapi.Ledger, error) {
	out := &ffcapi.Ledger{Name: ledger, Finality: ffcapi.Instant}
	err := c.visit(ctx, c.cfg.Timeouts.CommitStatus, ledger, func(ctx context.Context, n *node, s *signer) error {
		info, e := n.chainInfo(ctx, s, ledger)
		if e != nil {
			return e
		}
		genesis, err := c.genesis(ctx, n, s, ledger, info)
		if err != nil {
			return err
		}
		out.ID, out.Head = genesis, info.head
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// genesis returns the hash of block 0. It is asked for each time: a channel that was set up afresh must show as another ledger.
func (c *Connector) genesis(ctx context.Context, n *node, s *signer, ledger string, info chainInfo) (string, error) {
	if info.head.Number == 0 {
		return info.head.Hash, nil
	}
	if err := info.pruned(n, 0); err != nil {
		return "", err
	}
	b, err := n.block(ctx, s, ledger, 0)
	if err != nil {
		return "", err
	}
	return b.Hash, nil
}
