package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

// options of all scenarios.
type options struct {
	network, url  string
	pid, n, c     int
	label, prefix string
}

// eventName is what the transactions emit.
const eventName = "Measured"

// result is the JSON line.
type result map[string]any

func main() {
	var o options
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: fabric fill|replay|replay-pyralis|submit|submit-pyralis [flags]")
		os.Exit(2)
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.network, "network", "", "directory of the test network")
	flags.StringVar(&o.url, "url", "http://127.0.0.1:5008", "REST API of Pyralis")
	flags.IntVar(&o.pid, "pid", 0, "process of Pyralis, for its memory and CPU")
	flags.IntVar(&o.n, "n", 3000, "transactions, or events to wait for")
	flags.IntVar(&o.c, "c", 200, "clients")
	flags.StringVar(&o.label, "label", "", "copied to the result")
	_ = flags.Parse(os.Args[2:]) // it exits
	o.prefix = strconv.FormatInt(time.Now().UnixNano(), 36)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1], o); err != nil {
		fmt.Fprintln(os.Stderr, "fabric:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, scenario string, o options) error {
	type measured func(context.Context, options) (int, error)
	scenarios := map[string]measured{
		"fill": submitBare, "submit": submitBare, "submit-pyralis": submitPyralis, "replay": replayBare, "replay-pyralis": replayPyralis,
	}
	f, ok := scenarios[scenario]
	if !ok {
		return fmt.Errorf("unknown scenario %q", scenario)
	}
	pid := o.pid
	if pid == 0 {
		pid = os.Getpid()
	}
	before, began := cpuOf(pid), time.Now()
	count, err := f(ctx, o)
	if err != nil {
		return err
	}
	secs := time.Since(began).Seconds()
	r := result{
		"scenario": "fabric-" + strings.TrimSuffix(scenario, "-pyralis"), "label": o.label, "n": count, "secs": round(secs), "per_s": round(float64(count) / secs),
		"cpu_s": round(cpuOf(pid) - before), "peak_mb": round(peakOf(pid)),
	}
	if !strings.HasPrefix(scenario, "replay") {
		r["c"] = o.c
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// payload is the event of the i-th transaction, about 200 bytes.
func payload(prefix string, i int) string {
	return fmt.Sprintf(`{"request":"%s-%06d","owner":"0x5555555555555555555555555555555555555555","color":"blue","size":5,"appraisedValue":%d,"pad":"%s"}`,
		prefix, i, i, strings.Repeat("x", 60))
}

func round(v float64) float64 {
	x, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64)
	if err != nil {
		return v
	}
	return x
}

// cpuOf is the CPU time of a process in seconds, 0 where there is no /proc.
func cpuOf(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100
}

// peakOf is the most memory that a process has had, in MiB.
func peakOf(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	f := strings.Fields(rest)
	if len(f) == 0 {
		return 0
	}
	kb, _ := strconv.ParseFloat(f[0], 64)
	return kb / 1024
}
