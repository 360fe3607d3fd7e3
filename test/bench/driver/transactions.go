package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

func txBody(id string, i int) []byte {
	return []byte(fmt.Sprintf(`{"headers":{"type":"SendTransaction","id":"%s"},"from":"0x%040x","to":"assets","method":"create",`+
		`"params":["%s",{"color":"blue","size":5,"owner":"0x5555555555555555555555555555555555555555","appraisedValue":%d}]}`, id, 0xabc000+i%*signers, id, i))
}

func txID(i int) string { return fmt.Sprintf("ns1:%s-%08d", *seed, i) }

func post(path string, body []byte) (int, []byte, error) {
	r, err := client.Post(*url+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, b, err
}

// submitAll posts n transactions at the set concurrency, returning latencies and status counts
func submitAll(starts []int64) (lats []int64, codes map[int]int, secs float64) {
	lats = make([]int64, *n)
	codes = map[int]int{}
	var mu sync.Mutex
	var next int64 = -1
	var wg sync.WaitGroup
	t0 := time.Now()
	for w := 0; w < *conc; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			local := map[int]int{}
			for {
				i := int(atomic.AddInt64(&next, 1))
				if i >= *n {
					break
				}
				body := txBody(txID(i), i)
				s := time.Now()
				if starts != nil {
					atomic.StoreInt64(&starts[i], s.UnixNano())
				}
				code, b, err := post("/", body)
				lats[i] = int64(time.Since(s))
				if err != nil {
					code = -1
				} else if code >= 500 && local[code] == 0 {
					fmt.Fprintf(os.Stderr, "%d: %.200s\n", code, b)
				}
				local[code]++
			}
			mu.Lock()
			for k, v := range local {
				codes[k] += v
			}
			mu.Unlock()
		}()
	}
	wg.Wait()
	return lats, codes, time.Since(t0).Seconds()
}

type reply struct {
	Headers struct {
		Type      string `json:"type"`
		RequestID string `json:"requestId"`
	} `json:"headers"`
}

// replies counts TransactionSuccess replies, recording the arrival time of each of our transactions
func replies(arrive []int64, got *int64, last *int64, other *int64) *websocket.Conn {
	c := dial()
	if err := c.WriteJSON(map[string]string{"type": "listenreplies"}); err != nil {
		die("listenreplies: %s", err)
	}
	go func() {
		for {
			_, b, err := c.ReadMessage()
			if err != nil {
				return
			}
			var r reply
			_ = json.Unmarshal(b, &r)
			now := time.Now().UnixNano()
			p := strings.LastIndexByte(r.Headers.RequestID, '-')
			if r.Headers.Type != "TransactionSuccess" || p < 0 || (arrive != nil && !strings.HasPrefix(r.Headers.RequestID, "ns1:"+*seed)) {
				atomic.AddInt64(other, 1)
				continue
			}
			if arrive != nil {
				i, _ := strconv.Atoi(r.Headers.RequestID[p+1:])
				if !atomic.CompareAndSwapInt64(&arrive[i], 0, now) {
					atomic.AddInt64(other, 1)
					continue
				}
			}
			atomic.StoreInt64(last, now)
			atomic.AddInt64(got, 1)
		}
	}()
	time.Sleep(200 * time.Millisecond)
	return c
}

func waitCount(v *int64, want int64, d time.Duration) bool {
	end := time.Now().Add(d)
	for time.Now().Before(end) {
		if atomic.LoadInt64(v) >= want {
			return true
		}
		time.Sleep(2 * time.Millisecond)
	}
	return false
}

func codesJSON(codes map[int]int) map[string]int {
	m := map[string]int{}
	for k, v := range codes {
		m[strconv.Itoa(k)] = v
	}
	return m
}

func submit() {
	a := snap()
	stop := profile()
	lats, codes, secs := submitAll(nil)
	b := snap()
	res["codes"] = codesJSON(codes)
	res["req_per_s"] = r3(float64(*n) / secs)
	lat("req", lats)
	resources(a, b, secs)
	stop()
}

func confirm() {
	arrive, starts := make([]int64, *n), make([]int64, *n)
	var got, last, other int64
	c := replies(arrive, &got, &last, &other)
	defer c.Close()
	a := snap()
	stop := profile()
	t0 := time.Now()
	lats, codes, secs := submitAll(starts)
	ok := waitCount(&got, int64(*n), *timeout)
	b := snap()
	end := atomic.LoadInt64(&last)
	if !ok {
		end = time.Now().UnixNano()
	}
	total := float64(end-t0.UnixNano()) / 1e9
	res["codes"] = codesJSON(codes)
	res["submit_per_s"] = r3(float64(*n) / secs)
	lat("req", lats)
	conf := make([]int64, 0, *n)
	for i := range arrive {
		if arrive[i] != 0 {
			conf = append(conf, arrive[i]-starts[i])
		}
	}
	res["complete"] = ok
	res["confirmed"] = len(conf)
	res["other_replies"] = other
	res["confirmed_per_s"] = r3(float64(len(conf)) / total)
	lat("conf", conf)
	if len(conf) > 0 {
		// time by which 50/90/95/99 percent were confirmed
		at := make([]int64, 0, *n)
		for _, v := range arrive {
			if v != 0 {
				at = append(at, v-t0.UnixNano())
			}
		}
		sort.Slice(at, func(i, j int) bool { return at[i] < at[j] })
		for _, p := range []int{50, 90, 99} {
			res[fmt.Sprintf("t%d_s", p)] = r3(float64(at[(len(at)-1)*p/100]) / 1e9)
		}
	}
	resources(a, b, total)
	stop()
}

// paced submits at a steady rate (open loop) and measures submit -> success reply
func paced() {
	*n = int(*rate * dur.Seconds())
	arrive, starts := make([]int64, *n), make([]int64, *n)
	reqLat := make([]int64, *n)
	var got, last, other int64
	c := replies(arrive, &got, &last, &other)
	defer c.Close()
	a := snap()
	stop := profile()
	t0 := time.Now()
	var wg sync.WaitGroup
	for i := 0; i < *n; i++ {
		at := t0.Add(time.Duration(float64(i) / *rate * 1e9))
		if d := time.Until(at); d > 0 {
			time.Sleep(d)
		}
		wg.Add(1)
		starts[i] = at.UnixNano() // intended start, so a stall is not hidden
		go func(i int) {
			defer wg.Done()
			s := time.Now()
			_, _, _ = post("/", txBody(txID(i), i))
			reqLat[i] = int64(time.Since(s))
		}(i)
	}
	wg.Wait()
	ok := waitCount(&got, int64(*n), *timeout)
	b := snap()
	conf := make([]int64, 0, *n)
	slow := 0
	for i := range arrive {
		if arrive[i] != 0 {
			conf = append(conf, arrive[i]-starts[i])
			if arrive[i]-starts[i] > int64(10*time.Second) {
				slow++
			}
		}
	}
	res["complete"], res["confirmed"], res["rate"], res["over_10s"] = ok, len(conf), *rate, slow
	lat("req", reqLat)
	lat("conf", conf)
	resources(a, b, time.Since(t0).Seconds())
	stop()
}

// dup submits n, then the same n again: each second submission must be refused with 409
func dup() {
	_, codes, secs := submitAll(nil)
	res["first_codes"], res["first_per_s"] = codesJSON(codes), r3(float64(*n)/secs)
	submit()
}

// duprace submits each of n IDs conc times at the same moment: exactly one must succeed
func duprace() {
	codes := map[int]int{}
	exactly := 0
	a := snap()
	t0 := time.Now()
	for i := 0; i < *n; i++ {
		body := txBody(txID(i), i)
		var wg sync.WaitGroup
		var mu sync.Mutex
		wins := 0
		for w := 0; w < *conc; w++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				code, _, err := post("/", body)
				if err != nil {
					code = -1
				}
				mu.Lock()
				codes[code]++
				if code >= 200 && code < 300 {
					wins++
				}
				mu.Unlock()
			}()
		}
		wg.Wait()
		if wins == 1 {
			exactly++
		}
	}
	secs := time.Since(t0).Seconds()
	res["codes"], res["ids"], res["ids_with_one_winner"] = codesJSON(codes), *n, exactly
	res["req_per_s"] = r3(float64(*n**conc) / secs)
	resources(a, snap(), secs)
}

// drain counts success replies for a while (restart scenarios)
func drain() {
	var got, last, other int64
	c := replies(nil, &got, &last, &other)
	defer c.Close()
	a := snap()
	stop := profile()
	t0 := time.Now()
	for time.Since(t0) < *dur && atomic.LoadInt64(&got) < int64(*n) {
		if l := atomic.LoadInt64(&last); l != 0 && time.Now().UnixNano()-l > int64(*idle) {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	secs := time.Since(t0).Seconds()
	if l := atomic.LoadInt64(&last); l != 0 {
		res["last_reply_s"] = r3(float64(l-t0.UnixNano()) / 1e9)
		res["per_s"] = r3(float64(got) / (float64(l-t0.UnixNano()) / 1e9))
	}
	res["drained"], res["other_replies"] = atomic.LoadInt64(&got), other
	resources(a, snap(), secs)
	stop()
}
