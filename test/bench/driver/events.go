package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

func mkStream(name string, from string) string {
	timeout := ""
	if *batchTO != "" {
		timeout = fmt.Sprintf(`"batchTimeout":"%s",`, *batchTO)
	}
	body := fmt.Sprintf(`{"name":"%s","type":"websocket","batchSize":%d,%s"errorHandling":"block","websocket":{"distributionMode":"load_balance"},"suspended":true}`, name, *batch, timeout)
	code, b, err := post("/eventstreams", []byte(body))
	var es struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(b, &es)
	if err != nil || code >= 300 || es.ID == "" {
		die("create stream: %d %s %v", code, b, err)
	}
	for l := 0; l < *lstnrs; l++ {
		lb := fmt.Sprintf(`{"name":"l%d","fromBlock":"%s","filters":[{"event":"E","mod":%d,"rem":%d}]}`, l, from, *lstnrs, l)
		code, b, err = post("/eventstreams/"+es.ID+"/listeners", []byte(lb))
		if err != nil || code >= 300 {
			die("create listener: %d %s %v", code, b, err)
		}
	}
	return es.ID
}

type evBatch struct {
	BatchNumber int64             `json:"batchNumber"`
	Events      []json.RawMessage `json:"events"`
}

type ev struct {
	SubID       string `json:"subId"`
	BlockNumber any    `json:"blockNumber"`
	TxIndex     any    `json:"transactionIndex"`
	Data        struct {
		TS string `json:"ts"`
	} `json:"data"`
}

func num(v any) int64 {
	switch x := v.(type) {
	case float64:
		return int64(x)
	case string:
		i, _ := strconv.ParseInt(x, 10, 64)
		return i
	}
	return -1
}

var evMark = []byte(`"transactionIndex":`)

// quick finds the batch number and event count without a full JSON decode
func quick(b []byte) (num int64, cnt int) {
	cnt = bytes.Count(b, evMark)
	p := bytes.Index(b[:min(len(b), 64)], []byte(`"batchNumber":`))
	if p < 0 {
		p = bytes.LastIndex(b, []byte(`"batchNumber":`))
	}
	if p >= 0 {
		for _, ch := range b[p+14:] {
			if ch < '0' || ch > '9' {
				break
			}
			num = num*10 + int64(ch-'0')
		}
	}
	return num, cnt
}

func listen(name string) map[string]any {
	m := map[string]any{"type": "listen", "topic": name, "stream": name}
	if *window > 0 {
		m["window"] = *window
	}
	return m
}

func consume(c *websocket.Conn, name string, f func(b []byte, cnt int) bool) error {
	var wmu sync.Mutex
	for {
		_, b, err := c.ReadMessage()
		if err != nil {
			return err
		}
		bn, cnt := quick(b)
		more := f(b, cnt)
		ack := []byte(fmt.Sprintf(`{"type":"ack","topic":"%s","batchNumber":%d}`, name, bn))
		if *ackDelay > 0 { // batches in a window are worked on side by side
			go func() {
				time.Sleep(*ackDelay)
				wmu.Lock()
				defer wmu.Unlock()
				_ = c.WriteMessage(websocket.TextMessage, ack)
			}()
		} else if err := c.WriteMessage(websocket.TextMessage, ack); err != nil {
			return err
		}
		if !more {
			return nil
		}
	}
}

// events: catch-up delivery. n is the number of events each stream must deliver
func events() {
	ids := make([]string, *streams)
	conns := make([]*websocket.Conn, *streams)
	names := make([]string, *streams)
	for s := range ids {
		names[s] = fmt.Sprintf("es-%s-%d", *seed, s)
		ids[s] = mkStream(names[s], "0")
		conns[s] = dial()
		_ = conns[s].WriteJSON(listen(names[s]))
	}
	var total, nbytes, batches, bad int64
	a := snap()
	stop := profile()
	t0 := time.Now()
	var wg sync.WaitGroup
	for s := range ids {
		wg.Add(1)
		go func(s int) {
			defer wg.Done()
			got := 0
			lastPos := map[string]int64{}
			err := consume(conns[s], names[s], func(b []byte, cnt int) bool {
				got += cnt
				atomic.AddInt64(&nbytes, int64(len(b)))
				atomic.AddInt64(&batches, 1)
				if *verify {
					var eb evBatch
					_ = json.Unmarshal(b, &eb)
					for _, raw := range eb.Events {
						var e ev
						_ = json.Unmarshal(raw, &e)
						pos := num(e.BlockNumber)*1000000 + num(e.TxIndex)
						if prev, seen := lastPos[e.SubID]; seen && pos <= prev {
							atomic.AddInt64(&bad, 1)
						}
						lastPos[e.SubID] = pos
					}
				}
				return got < *n
			})
			atomic.AddInt64(&total, int64(got))
			if err != nil {
				fmt.Fprintln(os.Stderr, "consume:", err)
			}
		}(s)
	}
	for _, id := range ids {
		if code, b, err := post("/eventstreams/"+id+"/resume", []byte("{}")); err != nil || code >= 300 {
			die("resume: %d %s %v", code, b, err)
		}
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(*timeout):
		for _, c := range conns {
			c.Close()
		}
		<-done
		res["complete"] = false
	}
	secs := time.Since(t0).Seconds()
	b := snap()
	if _, failed := res["complete"]; !failed {
		res["complete"] = true
	}
	res["events"] = total
	res["events_per_s"] = r3(float64(total) / secs)
	res["batches"] = batches
	res["bytes_per_event"] = r3(float64(nbytes) / float64(total))
	if *verify {
		res["out_of_order_or_dup"] = bad
	}
	resources(a, b, secs)
	res["cpu_us_per_event"] = r3((b.srv - a.srv) * 1e6 / float64(total))
	stop()
	for _, c := range conns {
		c.Close()
	}
	if *streams == 1 { // leave the server clean for the next repetition
		req, _ := http.NewRequest("DELETE", *url+"/eventstreams/"+ids[0], nil)
		if r, err := client.Do(req); err == nil {
			r.Body.Close()
		}
	}
}

// latency: live events carry their emit time; measure emit -> arrival at the client
func latency() {
	name := "lat-" + *seed
	id := mkStream(name, "latest")
	c := dial()
	_ = c.WriteJSON(map[string]string{"type": "listen", "topic": name})
	if code, b, err := post("/eventstreams/"+id+"/resume", []byte("{}")); err != nil || code >= 300 {
		die("resume: %d %s %v", code, b, err)
	}
	warm := time.Now().Add(2 * time.Second)
	end := warm.Add(*dur)
	var d []int64
	var a procSnap
	started := false
	stop := func() {}
	err := consume(c, name, func(b []byte, cnt int) bool {
		now := time.Now()
		if now.Before(warm) {
			return true
		}
		if !started {
			started = true
			a = snap()
			stop = profile()
		}
		nn := now.UnixNano()
		for {
			p := bytes.Index(b, []byte(`"ts":"`))
			if p < 0 {
				break
			}
			b = b[p+6:]
			q := bytes.IndexByte(b, '"')
			ts, _ := strconv.ParseInt(string(b[:q]), 10, 64)
			d = append(d, nn-ts)
		}
		return now.Before(end)
	})
	if err != nil {
		die("consume: %s", err)
	}
	res["events"] = len(d)
	res["events_per_s"] = r3(float64(len(d)) / dur.Seconds())
	lat("event", d)
	resources(a, snap(), dur.Seconds())
	stop()
	c.Close()
	req, _ := http.NewRequest("DELETE", *url+"/eventstreams/"+id, nil)
	if r, err := client.Do(req); err == nil {
		r.Body.Close()
	}
}
