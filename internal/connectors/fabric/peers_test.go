package fabric

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/test/fabricnet/proxy"
)

// logBuffer takes what is logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// inFrontOf puts a proxy in front of a fake peer.
func inFrontOf(t testing.TB, f *fakePeer) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Listen("127.0.0.1:0", f.address)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// explicitly makes a connector to peers at addresses, named a, b and so on. They may be silent for as long as a busy machine can make them.
func explicitly(t *testing.T, wallet string, change func(*Config), addresses ...string) (*Connector, *logBuffer) {
	t.Helper()
	cfg := Config{
		MSPID: "Org1MSP", Channels: []string{"ch1"}, Wallet: wallet, Identity: "user1",
		Timeouts: Timeouts{Silence: 10 * time.Second, Connect: 10 * time.Second}, Backoff: Backoff{10 * time.Millisecond, 100 * time.Millisecond},
	}
	for i, a := range addresses {
		cfg.Peers = append(cfg.Peers, Peer{Name: string(rune('a' + i)), URL: "grpc://" + a})
	}
	if change != nil {
		change(&cfg)
	}
	logged := &logBuffer{}
	l := logrus.New()
	l.SetOutput(logged)
	c, err := New(t.Context(), cfg, Options{Log: logrus.NewEntry(l)})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c, logged
}

func report(t *testing.T, c *Connector) (out healthReport, err error) {
	t.Helper()
	details, err := c.Health(t.Context())
	require.NoError(t, json.Unmarshal(details, &out))
	return out, err
}

// everyCall does all that a caller can ask for, once.
func everyCall(t *testing.T, c *Connector, id string) {
	t.Helper()
	create := &ffcapi.Request{From: "user1", To: "assets", Method: json.RawMessage(`"create"`), Params: raws(`"`+id+`"`, `1`)}
	p, err := c.Prepare(t.Context(), create)
	require.NoError(t, err)
	_, err = c.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: "user1"})
	require.NoError(t, err)
	_, err = c.Query(t.Context(), &ffcapi.Request{To: "assets", Method: json.RawMessage(`"read"`), Params: raws(`"` + id + `"`)})
	require.NoError(t, err)
	_, err = c.Ledger(t.Context(), "ch1")
	require.NoError(t, err)
	_, err = c.Receipt(t.Context(), &ffcapi.ReceiptQuery{Ledger: "ch1", Hash: p.Hash})
	require.NoError(t, err)
}

// A peer that is not there fails no call while another one is.
func TestCallsGoOnWithTheNextPeer(t *testing.T) {
	t.Parallel()
	first, second := newFakePeer(t), newFakePeer(t)
	first.stop()
	c, logged := explicitly(t, second.wallet, nil, first.address, second.address)
	everyCall(t, c, "x")
	r, err := report(t, c)
	require.NoError(t, err, "degraded is ready")
	require.Equal(t, second.address, r.Peer)
	require.Equal(t, map[string]uint64{"ch1": 1}, r.Heads)
	require.Equal(t, stateFailed, r.Peers[0].State)
	require.Contains(t, r.Peers[0].Error, "a ("+first.address+") cannot be reached: dial tcp")
	require.NotNil(t, r.Peers[0].Since)
	require.NotNil(t, r.Peers[0].Next)
	require.Equal(t, stateCurrent, r.Peers[1].State)
	require.Equal(t, map[string]uint64{"ch1": 1}, r.Peers[1].Heads)
	require.Contains(t, logged.String(), "A peer has failed")

	second.stop()
	_, err = c.Ledger(t.Context(), "ch1")
	e := requireKind(t, err, ffcapi.Unavailable, first.address)
	require.Contains(t, e.Error(), second.address, "what each peer said")
	_, err = report(t, c)
	require.ErrorContains(t, err, "channel ch1: ")
}

// A peer that is silent, as one that is stopped or whose network is gone, is left within the time for that, by what is under way as well.
func TestASilentPeerIsLeft(t *testing.T) {
	t.Parallel()
	first, second := newFakePeer(t), newFakePeer(t)
	way := inFrontOf(t, first)
	c, _ := explicitly(t, first.wallet, func(cfg *Config) { cfg.Timeouts.Silence = 3 * time.Second }, way.Addr(), second.address)
	_, err := c.Ledger(t.Context(), "ch1")
	require.NoError(t, err)
	n := c.peers.order()[0]
	s, err := c.reader()
	require.NoError(t, err)
	st, err := n.open(t.Context(), s, "ch1", 0, noEnd)
	require.NoError(t, err)
	defer st.close()
	_, err = wait(t.Context(), n, <-st.blocks, true)
	require.NoError(t, err)

	way.Silence()
	everyCall(t, c, "x")
	out, ok := <-st.blocks
	_, err = wait(t.Context(), n, out, ok)
	requireKind(t, err, ffcapi.Unavailable, "gives no sign of life for 3s")
	r, err := report(t, c)
	require.NoError(t, err)
	require.Equal(t, stateFailed, r.Peers[0].State)

	way.Heal()
	require.Eventually(t, func() bool {
		r, err := report(t, c)
		return err == nil && r.Peers[0].State == stateReady && r.Peers[1].State == stateCurrent
	}, 30*time.Second, 20*time.Millisecond, "it is asked again once it answers, and the current one stays")
}

// A call that takes long at a peer that lives is not cut off.
func TestASlowCallIsNotCut(t *testing.T) {
	t.Parallel()
	first, second := newFakePeer(t), newFakePeer(t)
	first.hangs = true
	c, _ := explicitly(t, first.wallet, func(cfg *Config) { cfg.Timeouts.Silence, cfg.Timeouts.Evaluate = 2*time.Second, 6*time.Second }, first.address, second.address)
	begin := time.Now()
	_, err := c.Query(t.Context(), fakeRequest("user1", "read", "x"))
	requireKind(t, err, ffcapi.Timeout, "")
	require.GreaterOrEqual(t, time.Since(begin), 6*time.Second)
}

// A single peer that is away is used again as soon as it is back.
func TestTheOnlyPeerComesBack(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	way := inFrontOf(t, f)
	c, _ := explicitly(t, f.wallet, nil, way.Addr())
	way.Cut()
	_, err := c.Ledger(t.Context(), "ch1")
	requireKind(t, err, ffcapi.Unavailable, "a ("+way.Addr()+")")
	way.Heal()
	require.Eventually(t, func() bool { _, err := c.Ledger(t.Context(), "ch1"); return err == nil }, 30*time.Second, 20*time.Millisecond)
}

// What one peer may have taken is not certainly unsent because the next one cannot be reached.
func TestSubmitRemembersWhereItWas(t *testing.T) {
	t.Parallel()
	first, second := newFakePeer(t), newFakePeer(t)
	c, _ := explicitly(t, first.wallet, nil, first.address, second.address)
	p, err := c.Prepare(t.Context(), fakeRequest("user1", "create", "x", "1"))
	require.NoError(t, err)
	second.stop()
	first.set(func() { first.lost = 1 })
	_, err = c.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: "user1"})
	e := requireKind(t, err, ffcapi.Unavailable, second.address)
	require.Equal(t, ffcapi.SentMaybe, e.Sent)
	require.Equal(t, 1, first.submits)

	_, err = c.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: "user1"})
	require.NoError(t, err)
	first.stop()
	_, err = c.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: "user1"})
	require.Contains(t, []ffcapi.Sent{ffcapi.SentMaybe, ffcapi.SentNo}, ffcapi.AsError(err).Sent,
		"the connection broke under the call, or was known to be gone before it")
	_, err = c.Submit(t.Context(), &ffcapi.Submission{Prepared: p, From: "user1"})
	e = requireKind(t, err, ffcapi.Unavailable, "cannot be reached")
	require.Equal(t, ffcapi.SentNo, e.Sent)
}

// Blocks that one peer lacks are had from another, and only if none has them are they gone.
func TestABlockThatOnePeerLacks(t *testing.T) {
	t.Parallel()
	first, second := newFakePeer(t), newFakePeer(t)
	for _, f := range []*fakePeer{first, second} {
		f.mine(testTx{id: "one", time: noon})
		f.mine(testTx{id: "two", time: noon})
	}
	first.set(func() { first.snapshot = 2 })
	c, logged := explicitly(t, first.wallet, nil, first.address, second.address)
	b, err := c.Block(t.Context(), "ch1", 0)
	require.NoError(t, err)
	require.Zero(t, b.Number)
	require.Contains(t, logged.String(), "peer=\"a ("+first.address+")\"")
	require.Contains(t, logged.String(), "instead=\"b ("+second.address+")\"")
	second.set(func() { second.snapshot = 1 })
	_, err = c.Block(t.Context(), "ch1", 0)
	e := requireKind(t, err, ffcapi.Pruned, "")
	require.EqualValues(t, 1, e.FirstBlock)
	r, err := report(t, c)
	require.NoError(t, err)
	require.Equal(t, stateCurrent, r.Peers[0].State, "a peer without old blocks has not failed")
}

// An identity that no peer lets in is named.
func TestIdentityThatIsRefusedIsNamed(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	f.refuse = status.Error(codes.PermissionDenied, "creator org unknown, creator is malformed")
	c, _ := explicitly(t, f.wallet, nil, f.address)
	_, err := c.Query(t.Context(), fakeRequest("user1", "read", "x"))
	requireKind(t, err, ffcapi.Unauthorized, `identity "user1" of Org1MSP: creator org unknown`)
}

// The wait before a peer is probed grows with its failures, and a call that succeeds ends it.
func TestBackoffOfAPeer(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	c, _ := explicitly(t, f.wallet, func(cfg *Config) { cfg.Backoff = Backoff{time.Hour, 2 * time.Hour} }, f.address)
	n := c.peers.nodes[0]
	n.failed(errors.New("one"))
	n.failed(errors.New("two at once"))
	c.peers.mu.Lock()
	require.Equal(t, 1, n.health.failures, "what fails at the same time is one failure")
	require.ErrorContains(t, n.health.err, "two at once")
	c.peers.mu.Unlock()
	require.LessOrEqual(t, time.Until(*c.peers.snapshot(n).Next), time.Hour)
	_, err := c.Ledger(t.Context(), "ch1")
	require.NoError(t, err, "the only peer is asked whatever it did")
	require.Equal(t, stateCurrent, c.peers.snapshot(n).State)
	c.peers.mu.Lock()
	defer c.peers.mu.Unlock()
	require.Zero(t, n.health.failures)
}

// Close waits for no probe longer than that takes, and leaves nothing behind.
func TestCloseWithAPeerThatFailed(t *testing.T) {
	t.Parallel()
	f := newFakePeer(t)
	way := inFrontOf(t, f)
	c, _ := explicitly(t, f.wallet, func(cfg *Config) { cfg.Timeouts.Silence = time.Second }, way.Addr())
	way.Silence()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := c.Ledger(ctx, "ch1")
	require.Error(t, err)
	_, err = c.Ledger(t.Context(), "ch1")
	requireKind(t, err, ffcapi.Unavailable, way.Addr())
}
