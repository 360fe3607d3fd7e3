package sqlstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sirupsen/logrus"
)

const (
	walStart    = 4 << 20  // a log of this size is copied into the database, beside the writer
	walStep     = 16 << 20 // what is added before the next copy, at most: a page that many commits write is copied once
	walMax      = 64 << 20 // one of this size is emptied, between two groups
	walInterval = 200 * time.Millisecond
	walPause    = time.Second // from one copy to the next, when less is added
	walRetry    = time.Second // after a reader kept the log from being begun anew
	walFrame    = 4096 + 24   // bytes of a page in the log
	walWarn     = time.Minute // from one warning to the next of its kind, while a failure lasts
)

// walKeeper keeps the write-ahead log short. Copying runs on a connection of its own, so that the writer's commits pay only for
// their own bytes; it can keep up but cannot make the log start again while writes go on, so now and then the writer does. The file keeps
// its size: a sync of what is written over costs half as much as one of what is written behind the end.
type walKeeper struct {
	conn  sqliteConn
	log   *logrus.Entry
	long  atomic.Bool // the log is longer than walMax
	again atomic.Int64

	copying, beginning walWarning // the latter belongs to the writer
}

// walWarning is a warning that would be given at every try. It serves one goroutine.
type walWarning struct{ given time.Time }

// due reports whether it is to be given now.
func (w *walWarning) due(now time.Time) bool {
	if !w.given.IsZero() && now.Sub(w.given) < walWarn {
		return false
	}
	w.given = now
	return true
}

// run copies the log into the database until ctx ends.
func (k *walKeeper) run(ctx context.Context) {
	tick := time.NewTicker(walInterval)
	defer tick.Stop()
	var pace walPace
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
		size, err := k.checkpoint(ctx, "NOOP")
		if err == nil && pace.due(size, now) {
			size, err = k.checkpoint(ctx, "PASSIVE")
		}
		if err != nil && ctx.Err() == nil && k.copying.due(now) {
			k.log.WithError(err).Warn("Cannot copy the write-ahead log into the database")
		}
		if size > walMax && time.Now().UnixNano() > k.again.Load() {
			k.long.Store(true)
		}
	}
}

// checkpoint returns how much of the log is in use, in bytes.
func (k *walKeeper) checkpoint(ctx context.Context, mode string) (size int64, err error) {
	v, err := queryInts(ctx, k.conn, "PRAGMA wal_checkpoint("+mode+")") // busy, frames in the log, those of them that are copied
	if err != nil {
		return 0, err
	}
	if len(v) < 3 || v[1] == v[2] { // the next write begins it anew
		return 0, nil
	}
	return v[1] * walFrame, nil
}

// walPace decides when to copy.
type walPace struct {
	size int64 // of the log, at the last copy
	at   time.Time
}

// due reports whether a log of this size is to be copied now.
func (p *walPace) due(size int64, now time.Time) bool {
	p.size = min(p.size, size) // it was begun anew
	if size < walStart || size-p.size < walStep && now.Sub(p.at) < walPause {
		return false
	}
	p.size, p.at = size, now
	return true
}

func (k *walKeeper) tooLong() bool { return k.long.Load() }

// restarted says how beginning the log anew went.
func (k *walKeeper) restarted(err error) {
	k.long.Store(false)
	now := time.Now()
	if err != nil && k.beginning.due(now) {
		k.log.WithError(err).Warn("Cannot begin the write-ahead log anew")
	}
	k.again.Store(now.Add(walRetry).UnixNano())
}
