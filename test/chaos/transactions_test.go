//go:build chaos

package chaos

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// Kills of a node under load: no accepted request is lost and none takes effect twice. Half of the kills are on a ledger with instant
// finality, half on one that is reorganised all the time; both forget, repeat and lose answers.
func TestTransactionsSQLite(t *testing.T) { transactions(t, nil) }

func TestTransactionsPostgres(t *testing.T) { transactions(t, postgres) }

var faults = devledger.Faults{LoseAnswers: 3, Duplicate: 3, Drop: 1}

func transactions(t *testing.T, store func(t *testing.T) []string) {
	t.Helper()
	seed := uint64(server.Int(t, "CHAOS_SEED", int(time.Now().UnixNano()%1_000_000)))
	kills := server.Int(t, "CHAOS_KILLS", 20)
	t.Logf("CHAOS_SEED=%d CHAOS_KILLS=%d", seed, kills)

	instant := devledger.DefaultConfig()
	instant.Faults = faults
	reorganised := instant
	reorganised.Finality, reorganised.BlockPeriod = ffcapi.Confirmations, 40*time.Millisecond
	reorganised.Faults.ReorganiseEvery, reorganised.Faults.ReorganiseDepth, reorganised.Faults.ReorganiseDrop = 10, 3, 5
	for name, c := range map[string]struct {
		ledger devledger.Config
		kills  int
	}{"instant": {instant, kills / 2}, "reorganised": {reorganised, kills - kills/2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &run{
				t: t, dir: t.TempDir(), ledger: c.ledger, seed: seed, clients: 6, signers: 4, counters: 5,
				accepted: map[string]*accepted{}, refused: map[string]bool{},
			}
			env := append(ledgerEnv(c.ledger), "PYRALIS_STORE_SQLITE_PATH="+r.dir, "PYRALIS_POLICIES_SIMPLE_RESUBMITINTERVAL=500ms",
				"PYRALIS_CONFIRMATIONS_REQUIRED=3", "PYRALIS_LOG_LEVEL=info")
			if store != nil {
				env = append(env, store(t)...)
			}
			r.p = server.New(t, env, "run")
			r.all(lives(seed, c.kills))
		})
	}
}

// ledgerEnv is the configuration of the ledger as environment variables.
func ledgerEnv(c devledger.Config) []string {
	f := c.Faults
	env := []string{
		"PYRALIS_DEVLEDGER_FINALITY=" + string(c.Finality), "PYRALIS_DEVLEDGER_BLOCKPERIOD=" + c.BlockPeriod.String(),
	}
	for key, n := range map[string]int{
		"LOSEANSWERS": f.LoseAnswers, "DUPLICATE": f.Duplicate, "DROP": f.Drop, "REORGANISEEVERY": int(f.ReorganiseEvery),
		"REORGANISEDEPTH": max(f.ReorganiseDepth, 1), "REORGANISEDROP": f.ReorganiseDrop,
	} {
		env = append(env, fmt.Sprintf("PYRALIS_DEVLEDGER_FAULTS_%s=%d", key, n))
	}
	return env
}

// life is how long the node lives: from when it is ready, or from its very beginning.
type life struct {
	early bool
	span  time.Duration
}

// restful is a life long enough for what was under way at the start to be found out. Without one now and then, each signer would wait behind
// the first of its transactions that the ledger has forgotten.
const restful = 16 * time.Second

func lives(seed uint64, n int) []life {
	rnd := rand.New(rand.NewPCG(seed, 0))
	out := make([]life, n)
	for i := range out {
		switch early, long := time.Duration(rnd.IntN(400))*time.Millisecond, time.Duration(rnd.IntN(2000))*time.Millisecond; {
		case i%8 == 7:
			out[i] = life{false, restful}
		case rnd.IntN(5) == 0:
			out[i] = life{true, early}
		default:
			out[i] = life{false, long}
		}
	}
	return out
}

// accepted is a request that was answered with 202.
type accepted struct{ key, signer, body string }

// run is a load of clients over a node that is killed again and again.
type run struct {
	t       *testing.T
	p       *server.Process
	dir     string // data directory
	ledger  devledger.Config
	seed    uint64
	clients int
	signers int
	// counters are assets that many update; what was done to one twice shows.
	counters int

	mu       sync.Mutex
	accepted map[string]*accepted // by key; guarded by mu
	refused  map[string]bool      // keys of what was refused; guarded by mu
	posts    int                  // guarded by mu
	replays  int                  // guarded by mu
	notes    []string             // what went wrong; guarded by mu
}

func (r *run) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

// all does it all; the node must not be started yet.
func (r *run) all(plan []life) {
	began := time.Now()
	r.p.Start()
	r.makeCounters()
	stop := make(chan struct{})
	var load sync.WaitGroup
	for c := range r.clients {
		load.Go(func() { r.client(c, stop) })
	}
	var ready []time.Duration
	for i, l := range plan {
		if !l.early {
			since := time.Now()
			r.p.Ready()
			if i > 0 {
				ready = append(ready, time.Since(since))
			}
		}
		server.Pause(r.t, l.span)
		r.p.Kill()
		r.p.Launch()
	}
	r.p.Ready()
	close(stop)
	load.Wait()
	r.t.Logf("%d kills in %s: %d posts, %d accepted, %d of them replayed, %d refused; restart %s", len(plan), time.Since(began).Round(time.Second), r.posts,
		len(r.accepted), r.replays, len(r.refused), spread(ready))
	require.Greater(r.t, len(r.accepted), 10*len(plan), "too little load to mean anything")

	settled := r.settle()
	first := r.list()
	r.checkRecords(first)
	r.p.Kill()
	r.p.Start()
	if settled {
		require.Equal(r.t, first, r.list(), "what is terminal has changed")
		r.checkHistories(first)
	}
	r.p.Interrupt()
	r.checkLedger(first, filepath.Join(r.dir, "devledger"))
	require.Empty(r.t, r.notes[:min(len(r.notes), 20)], "%d things are wrong", len(r.notes))
	r.t.Logf("checked after %s", time.Since(began).Round(time.Second))
}

// spread tells the middle and the end of some durations.
func spread(d []time.Duration) string {
	if len(d) == 0 {
		return "never"
	}
	var most, sum time.Duration
	for _, v := range d {
		sum += v
		most = max(most, v)
	}
	return fmt.Sprintf("mean %s, at most %s", (sum / time.Duration(len(d))).Round(time.Millisecond), most.Round(time.Millisecond))
}
