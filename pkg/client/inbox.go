package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// maxNotices bounds the error frames that wait to be looked at; further ones are dropped.
const maxNotices = 100

// frame is what the server may send.
type frame struct {
	Type    string            `json:"type"`
	Message string            `json:"message"`
	Number  *int64            `json:"batchNumber"`
	Attempt int               `json:"attempt"`
	Away    bool              `json:"unlistened"`
	Events  []json.RawMessage `json:"events"`
	Left    []int64           `json:"inFlight"`     // of "nacked"
	Void    []int64           `json:"batchNumbers"` // of "void"
}

// inbox reads a connection while a batch is being handled: pings want their answers however long that takes. A batch that the server
// sends once more, because it waits for the answer, is not kept twice.
type inbox struct {
	conn   *websocket.Conn
	window int
	wake   chan struct{} // to next: there is something
	done   chan struct{} // closed when read has returned

	mu      sync.Mutex
	frames  []*frame // guarded by mu, as all below
	notices int      // error frames among them
	current int64    // the batch that is, or was last, handled; 0: none, or it may come again
	nacked  bool     // the server has answered the last refusal
	leaving bool     // nothing more is taken in
	err     error    // why no more will come
}

func newInbox(conn *websocket.Conn, window int) *inbox {
	return &inbox{conn: conn, window: window, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// read takes in what comes until the connection ends.
func (in *inbox) read() {
	defer close(in.done)
	extend := func() error { return in.conn.SetReadDeadline(time.Now().Add(readDeadline)) }
	ping := in.conn.PingHandler()
	in.conn.SetPingHandler(func(data string) error { return errors.Join(extend(), ping(data)) })
	for {
		err := extend()
		var raw []byte
		if err == nil {
			_, raw, err = in.conn.ReadMessage()
		}
		var f frame
		if err == nil {
			if err = json.Unmarshal(raw, &f); err != nil {
				err = fmt.Errorf("frame from the server: %w", err)
			}
		}
		if err == nil {
			err = in.put(&f)
		}
		if err != nil {
			in.end(err)
			_ = in.conn.Close() // at once, even while a batch is handled: what it has is for others
			return
		}
	}
}

// put keeps a frame for next. Frames of a kind that is not known are passed over.
func (in *inbox) put(f *frame) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.leaving:
		return nil
	case f.Type == "nacked":
		in.forget(func(number int64) bool { return !slices.Contains(f.Left, number) })
		in.nacked = true
		in.signal()
		return nil
	case f.Type == "void":
		in.forget(func(number int64) bool { return slices.Contains(f.Void, number) })
		return nil
	case f.Type == "error" && f.Away:
		return fmt.Errorf("%w: %s", ErrUnlistened, f.Message)
	case f.Type == "error":
		if in.notices >= maxNotices {
			return nil
		}
		in.notices++
	case f.Number == nil || in.has(*f.Number):
		return nil
	case len(in.frames)-in.notices > 2*in.window: // what it has not answered in time was given to others as well
		return errors.New("the server sends more batches than it was asked for")
	}
	in.frames = append(in.frames, f)
	in.signal()
	return nil
}

// forget drops batches that wait. The caller holds mu.
func (in *inbox) forget(void func(number int64) bool) {
	in.frames = slices.DeleteFunc(in.frames, func(f *frame) bool { return f.Number != nil && void(*f.Number) })
}

// has reports whether a batch is here already. The caller holds mu.
func (in *inbox) has(number int64) bool {
	if number == in.current {
		return true
	}
	for _, f := range in.frames {
		if f.Number != nil && *f.Number == number {
			return true
		}
	}
	return false
}

func (in *inbox) end(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.err = err
	in.signal()
}

// why is what ended the connection, if that is known, rather than what followed from it.
func (in *inbox) why(err error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err != nil {
		return in.err
	}
	return err
}

func (in *inbox) signal() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// next waits for a frame, or the end of the connection. What had come before the end can no longer be answered, and is dropped: it
// comes again.
func (in *inbox) next() (*frame, error) {
	for {
		if f, err := in.take(); f != nil || err != nil {
			return f, err
		}
		<-in.wake // read ends with the connection, and the connection with the session's context
	}
}

func (in *inbox) take() (*frame, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err != nil || len(in.frames) == 0 {
		return nil, in.err
	}
	f := in.frames[0]
	in.frames[0] = nil
	in.frames = in.frames[1:]
	if f.Number == nil {
		in.notices--
	} else {
		in.current = *f.Number
	}
	return f, nil
}

// expect says that a batch was refused, so that it comes again.
func (in *inbox) expect(number int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.current == number {
		in.current = 0
	}
}

// awaitNacked waits until the server has answered a refusal: what was void is gone then.
func (in *inbox) awaitNacked(ctx context.Context) error {
	timer := time.NewTimer(readDeadline)
	defer timer.Stop()
	for {
		in.mu.Lock()
		answered, err := in.nacked, in.err
		if answered {
			in.nacked = false
			in.signal() // for next, whose signal may have been taken here
		}
		in.mu.Unlock()
		if answered || err != nil {
			return err
		}
		select {
		case <-in.wake:
		case <-timer.C:
			return errors.New("the server does not answer a refusal")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// sayGoodbye closes the connection so that the server has read everything before: a plain close may lose the last answer.
func (in *inbox) sayGoodbye(ctx context.Context) {
	in.mu.Lock()
	in.leaving = true
	in.mu.Unlock()
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if in.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(writeDeadline)) != nil {
		return // it is gone
	}
	timer := time.NewTimer(writeDeadline)
	defer timer.Stop()
	select {
	case <-in.done:
	case <-timer.C:
	case <-ctx.Done():
	}
}
