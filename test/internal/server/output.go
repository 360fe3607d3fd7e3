package server

import (
	"bytes"
	"sync"
)

// keep is how many bytes of the newest output are kept at least.
const keep = 256 << 10

// Output keeps the newest part of what a program writes. It can be read meanwhile.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len() > 2*keep {
		o.buf.Next(o.buf.Len() - keep)
	}
	return o.buf.Write(b)
}

// String is what is kept.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
