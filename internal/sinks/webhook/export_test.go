package webhook

import "time"

// SetPing shortens the time after which a silent HTTP/2 connection is tried.
func (f *Factory) SetPing(after, timeout time.Duration) { f.pingAfter, f.pingTimeout = after, timeout }
