// fftmserver runs Hyperledger FireFly Transaction Manager (its real REST + WebSocket server, simple transaction
// handler, and LevelDB/PostgreSQL persistence) over the in-memory chain.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	_ "net/http/pprof"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pyralis-io/pyralis/test/bench/memchain"

	"github.com/hyperledger/firefly-common/pkg/config"
	"github.com/hyperledger/firefly-transaction-manager/pkg/fftm"
	registry "github.com/hyperledger/firefly-transaction-manager/pkg/txhandler/registry"
	"github.com/hyperledger/firefly-transaction-manager/pkg/txhandler/simple"
)

var sendDelay time.Duration

func main() {
	t0 := time.Now()
	cfgFile := flag.String("f", "", "FFTM YAML config")
	pprofAddr := flag.String("pprof", "127.0.0.1:5099", "pprof + /chain address")
	cc := memchain.Config{}
	flag.Uint64Var(&cc.HistoryBlocks, "history-blocks", 10, "")
	flag.Uint64Var(&cc.EventBlocks, "event-blocks", 0, "")
	flag.IntVar(&cc.EventsPerBlock, "events-per-block", 200, "")
	flag.DurationVar(&cc.BlockTime, "block-time", 0, "")
	flag.IntVar(&cc.LiveEvents, "live-events", 0, "events per live block")
	flag.BoolVar(&cc.Mine, "mine", true, "")
	flag.BoolVar(&cc.AssumeMined, "assume-mined", false, "unknown tx hashes have receipts (restart tests)")
	flag.DurationVar(&sendDelay, "send-delay", 0, "time a send takes")
	flag.Parse()

	ctx, cancel := context.WithCancel(context.Background())
	fftm.InitConfig()
	registry.RegisterHandler(&simple.TransactionHandlerFactory{})
	if err := config.ReadConfig("perf", *cfgFile); err != nil {
		fatal(err)
	}
	config.SetupLogging(ctx)

	chain := memchain.New(cc)
	http.HandleFunc("/chain", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"head":%d,"sends":%d}`, chain.Head(), chain.SendCount())
	})
	go func() { _ = http.ListenAndServe(*pprofAddr, nil) }()

	m, err := fftm.NewManager(ctx, newConnector(chain))
	if err != nil {
		fatal(err)
	}
	t1 := time.Now()
	go chain.Run(ctx)
	if err := m.Start(); err != nil {
		fatal(err)
	}
	fmt.Fprintf(os.Stderr, "HARNESS started new_manager_ms=%d start_ms=%d\n", t1.Sub(t0).Milliseconds(), time.Since(t1).Milliseconds())
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGINT, syscall.SIGTERM)
	<-sig
	cancel()
	go func() { time.Sleep(5 * time.Second); os.Exit(0) }()
	m.Close()
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "HARNESS fatal:", err)
	os.Exit(1)
}
