package fabric

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// States of a Check.
const (
	CheckOK      = "ok"
	CheckWarning = "warning" // it works, and will not for ever, or not as it should
	CheckFailed  = "failed"
	CheckSkipped = "skipped" // something before it failed, or there is nothing to try
)

// Question narrows down what Diagnose looks at. The zero value asks for all configured channels with the configured identity.
type Question struct {
	Channel   string // one that need not be configured
	Chaincode string // on each channel that is looked at; without it chaincodes are only listed
	Identity  string // in place of fabric.identity
}

// Check is one hop on the way to a channel, and what came of trying it.
type Check struct {
	Peer    string // "" for what is looked at on this machine, or of all peers together
	Channel string // "" for a hop that belongs to none
	Hop     string
	State   string
	Detail  string // what was found
	Fix     string // what may help, for one that failed or is a warning
	Took    time.Duration
}

// Times. A peer that lets each call wait for its limit is examined no further after the first, so the whole stays below doctorTime.
const (
	doctorTime = 9 * time.Second
	connects   = 2 * time.Second // each of name, TCP, TLS, gRPC
	answers    = 3 * time.Second // each question to a peer
	lagging    = 50              // blocks behind the first of the peers that are worth a word
	clockSlip  = 5 * time.Second // how far a block may be ahead of this machine's clock
	expirySay  = 30 * 24 * time.Hour
)

// Diagnose tries everything that lies between this machine and the chain, hop by hop for each peer, and tells what it found in the order of the
// hops. Nothing changes on the chain: it reads, simulates, and sends the orderer what every orderer refuses. It ends within 10 s.
func Diagnose(ctx context.Context, cfg Config, q Question) []Check {
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	x := &exam{}
	p := x.local(ctx, cfg, q)
	if p == nil {
		return x.checks
	}
	peers := make([]*peerExam, len(p.endpoints))
	var wg sync.WaitGroup
	for i, e := range p.endpoints {
		peers[i] = &peerExam{exam: exam{peer: e.name}, patient: p, endpoint: e, heads: map[string]uint64{}}
		wg.Go(func() { peers[i].examine(ctx) })
	}
	wg.Wait()
	for _, e := range peers {
		x.checks = append(x.checks, e.checks...)
	}
	x.compare(p.channels, peers)
	return x.checks
}

// patient is what the configuration says, once it makes sense.
type patient struct {
	endpoints []endpoint
	cfg       *Config
	log       *logrus.Entry
	client    *clientCert // nil without mutual TLS
	signer    *signer
	channels  []string
	chaincode string
}

// exam collects checks.
type exam struct {
	peer   string
	checks []Check
}

// trouble is why a hop failed, with what may help. A mild one is a warning.
type trouble struct {
	what, fix string
	mild      bool
}

// Error implements error.
func (t *trouble) Error() string { return t.what }

func broken(fix, format string, args ...any) error {
	return &trouble{what: fmt.Sprintf(format, args...), fix: fix}
}

func warning(fix, format string, args ...any) error {
	return &trouble{what: fmt.Sprintf(format, args...), fix: fix, mild: true}
}

// nothing is the detail of a hop that need not be tried.
type nothing string

// Error implements error.
func (n nothing) Error() string { return string(n) }

// notice is how long before the end of a time limit a peer's clock may say that it is over.
const notice = 100 * time.Millisecond

// hop tries one thing within a time limit, and tells whether what comes after it can be tried.
func (x *exam) hop(ctx context.Context, limit time.Duration, channel, name string, try func(context.Context) (string, error)) bool {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c := Check{Peer: x.peer, Channel: channel, Hop: name, State: CheckOK}
	if ctx.Err() != nil {
		c.State, c.Detail = CheckFailed, "no time is left for it"
		c.Fix = "the hops before it took too long; --channel leaves others out"
		x.checks = append(x.checks, c)
		return false
	}
	start := time.Now()
	detail, err := try(limited)
	c.Took, c.Detail = time.Since(start), detail
	var t *trouble
	var skip nothing
	switch {
	case err == nil:
	case errors.As(err, &skip):
		c.State, c.Detail = CheckSkipped, skip.Error()
	case errors.As(err, &t):
		c.State, c.Detail, c.Fix = CheckFailed, t.what, t.fix
		if t.mild {
			c.State = CheckWarning
		}
	default:
		c.State, c.Detail, c.Fix = CheckFailed, err.Error(), x.helps(err)
	}
	// A peer that is told of the limit may be the first to notice its end, and break off with words of its own.
	if end, _ := limited.Deadline(); c.State == CheckFailed && time.Until(end) < notice && ffcapi.KindOf(err) == ffcapi.Timeout {
		c.Detail = fmt.Sprintf("no answer within %v", min(limit, time.Since(start).Round(100*time.Millisecond)))
	}
	x.checks = append(x.checks, c)
	return c.State != CheckFailed
}

// helps says what may help with an error of a peer that its hop knows no more about. What is wrong with a configuration says it itself.
func (x *exam) helps(err error) string {
	switch {
	case x.peer == "":
		return ""
	case ffcapi.KindOf(err) == ffcapi.Timeout:
		return "see the peer's log, and whether it hangs or has too much to do"
	case ffcapi.KindOf(err) == ffcapi.RateLimited:
		return "see who asks so much of the peer at once, or raise its peer.limits.concurrency"
	default:
		return "see the peer's log at this time"
	}
}

// skip notes what is not tried because a hop before it failed.
func (x *exam) skip(after, channel string, names ...string) {
	for _, name := range names {
		x.checks = append(x.checks, Check{Peer: x.peer, Channel: channel, Hop: name, State: CheckSkipped, Detail: "after " + after})
	}
}

// compare looks at the heights of all peers that told theirs.
func (x *exam) compare(channels []string, peers []*peerExam) {
	for _, channel := range channels {
		var told []*peerExam
		for _, p := range peers {
			if _, ok := p.heads[channel]; ok {
				told = append(told, p)
			}
		}
		if len(told) < 2 {
			continue
		}
		height := func(a, b *peerExam) int { return int(a.heads[channel]) - int(b.heads[channel]) }
		last, first := slices.MinFunc(told, height), slices.MaxFunc(told, height)
		behind := first.heads[channel] - last.heads[channel]
		c := Check{Channel: channel, Hop: hopLag, State: CheckOK, Detail: fmt.Sprintf("%d peers, %d blocks apart", len(told), behind)}
		if behind > lagging {
			c.State = CheckWarning
			c.Detail = fmt.Sprintf("%s has block %d, %s only %d: it is %d behind", first.peer, first.heads[channel], last.peer, last.heads[channel], behind)
			c.Fix = "it may just have been started; if it does not catch up, see its log for what gossip and the orderers say"
		}
		x.checks = append(x.checks, c)
	}
}
