package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

type procSnap struct{ srv, drv, pg, total float64 }

const hz = 100.0

func procCPU(p int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
	if err != nil {
		return 0
	}
	s := string(b)
	f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	u, _ := strconv.ParseFloat(f[11], 64)
	k, _ := strconv.ParseFloat(f[12], 64)
	return (u + k) / hz
}

func pgCPU(pm int) (t float64) {
	if pm == 0 {
		return 0
	}
	t = procCPU(pm)
	// children, and children already reaped
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pm)); err == nil {
		s := string(b)
		f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
		cu, _ := strconv.ParseFloat(f[13], 64)
		ck, _ := strconv.ParseFloat(f[14], 64)
		t += (cu + ck) / hz
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, p := range stats {
		b, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		s := string(b)
		f := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
		if f[1] == strconv.Itoa(pm) {
			u, _ := strconv.ParseFloat(f[11], 64)
			k, _ := strconv.ParseFloat(f[12], 64)
			t += (u + k) / hz
		}
	}
	return t
}

func snap() procSnap {
	var s procSnap
	s.srv, s.drv, s.pg = procCPU(*pid), procCPU(os.Getpid()), pgCPU(*pgPID)
	b, _ := os.ReadFile("/proc/stat")
	f := strings.Fields(strings.SplitN(string(b), "\n", 2)[0])
	for i, v := range f[1:] {
		if i == 3 || i == 4 || i >= 8 { // idle, iowait, guest
			continue
		}
		x, _ := strconv.ParseFloat(v, 64)
		s.total += x / hz
	}
	return s
}

func rss(p int) (cur, peak float64) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
	for _, l := range strings.Split(string(b), "\n") {
		f := strings.Fields(l)
		if len(f) > 1 && f[0] == "VmRSS:" {
			cur, _ = strconv.ParseFloat(f[1], 64)
		}
		if len(f) > 1 && f[0] == "VmHWM:" {
			peak, _ = strconv.ParseFloat(f[1], 64)
		}
	}
	return cur / 1024, peak / 1024
}

func r3(v float64) float64 {
	x, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 5, 64), 64)
	return x
}

// resources adds CPU and memory between two snapshots to the result
func resources(a, b procSnap, secs float64) {
	res["secs"] = r3(secs)
	res["srv_cpu_s"] = r3(b.srv - a.srv)
	res["drv_cpu_s"] = r3(b.drv - a.drv)
	if *pgPID != 0 {
		res["pg_cpu_s"] = r3(b.pg - a.pg)
	}
	res["other_cpu_s"] = r3((b.total - a.total) - (b.srv - a.srv) - (b.drv - a.drv) - (b.pg - a.pg))
	cur, peak := rss(*pid)
	res["srv_rss_mb"], res["srv_peak_mb"] = r3(cur), r3(peak)
}

func lat(name string, d []int64) {
	if len(d) == 0 {
		return
	}
	sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
	q := func(p float64) float64 { return r3(float64(d[int(p*float64(len(d)-1))]) / 1e6) }
	res[name+"_p50_ms"], res[name+"_p95_ms"], res[name+"_p99_ms"], res[name+"_max_ms"] = q(.5), q(.95), q(.99), q(1)
}

func profile() func() {
	if *pprofURL == "" || *profOut == "" {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", *pprofURL, *profSecs))
		if err != nil {
			return
		}
		defer r.Body.Close()
		f, err := os.Create(*profOut)
		if err == nil {
			_, _ = io.Copy(f, r.Body)
			f.Close()
		}
	}()
	return func() { <-done }
}
