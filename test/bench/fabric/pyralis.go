package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// post sends JSON, wants a 2xx, and returns the body.
func post(ctx context.Context, c *http.Client, url, body string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s: %s %s", url, resp.Status, b)
	}
	return b, err
}

func (o options) socket(ctx context.Context) (*websocket.Conn, error) {
	d := websocket.Dialer{ReadBufferSize: 256 << 10}
	conn, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(o.url, "http")+"/ws", nil)
	if err != nil {
		return nil, err
	}
	return conn, resp.Body.Close()
}

// replayPyralis receives o.n events of a new stream from block 0, and decodes each.
func replayPyralis(ctx context.Context, o options) (int, error) {
	name := "replay-" + o.prefix
	if _, err := post(ctx, http.DefaultClient, o.url+"/eventstreams", `{"name":"`+name+`","type":"websocket","batchSize":500}`); err != nil {
		return 0, err
	}
	listener := `{"name":"all","fromBlock":"earliest","filters":[{"channel":"` + channel + `","chaincode":"` + chaincode + `","event":"` + eventName + `"}]}`
	if _, err := post(ctx, http.DefaultClient, o.url+"/eventstreams/"+name+"/listeners", listener); err != nil {
		return 0, err
	}
	conn, err := o.socket(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.WriteJSON(map[string]any{"type": "listen", "stream": name, "window": 4}); err != nil {
		return 0, err
	}
	for count := 0; ; {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return 0, err
		}
		var batch struct {
			BatchNumber int64 `json:"batchNumber"`
			Events      []struct {
				Data map[string]any `json:"data"`
			} `json:"events"`
		}
		if err := json.Unmarshal(raw, &batch); err != nil {
			return 0, err
		}
		count += len(batch.Events)
		if err := conn.WriteJSON(map[string]any{"type": "ack", "stream": name, "batchNumber": batch.BatchNumber}); err != nil {
			return 0, err
		}
		if count >= o.n {
			return count, nil
		}
	}
}

// finals tells the clients which of their transactions is final.
type finals struct {
	mu      sync.Mutex
	waiting map[string]chan error // by request; guarded by mu
}

func (f *finals) expect(id string) <-chan error {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan error, 1)
	f.waiting[id] = c
	return c
}

// read hands out the replies until the connection ends.
func (f *finals) read(conn *websocket.Conn) {
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return
		}
		var reply struct {
			Headers struct {
				Type      string `json:"type"`
				RequestID string `json:"requestId"`
			} `json:"headers"`
		}
		if json.Unmarshal(raw, &reply) != nil || reply.Headers.RequestID == "" {
			continue
		}
		var outcome error
		switch reply.Headers.Type {
		case "TransactionSuccess":
		case "TransactionFailed":
			outcome = fmt.Errorf("%s", bytes.TrimSpace(raw))
		default: // of something on its way
			continue
		}
		f.mu.Lock()
		if c := f.waiting[reply.Headers.RequestID]; c != nil {
			delete(f.waiting, reply.Headers.RequestID)
			c <- outcome
		}
		f.mu.Unlock()
	}
}

// patience is how long a transaction may take to be final.
const patience = 2 * time.Minute

// submitPyralis submits o.n transactions with o.c clients, each until it is final.
func submitPyralis(ctx context.Context, o options) (int, error) {
	conn, err := o.socket(ctx)
	if err != nil {
		return 0, err
	}
	if err := conn.WriteJSON(map[string]any{"type": "listenreplies"}); err != nil {
		return 0, err
	}
	f := &finals{waiting: map[string]chan error{}}
	var reading sync.WaitGroup
	reading.Go(func() { f.read(conn) })
	defer reading.Wait()
	defer conn.Close()
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.c}}
	defer c.CloseIdleConnections()
	return o.n, eachClient(ctx, o, func(ctx context.Context, i int) error {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		id := fmt.Sprintf("%s-%06d", o.prefix, i)
		final := f.expect(id)
		body := fmt.Sprintf(`{"headers":{"type":"SendTransaction","id":%q},"from":"user1","to":"%s/%s","method":"event","params":[%q,%s]}`,
			id, channel, chaincode, eventName, payload(o.prefix, i))
		if _, err := post(ctx, c, o.url+"/", body); err != nil {
			return err
		}
		select {
		case err := <-final:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%s is not final: %w", id, ctx.Err())
		}
	})
}
