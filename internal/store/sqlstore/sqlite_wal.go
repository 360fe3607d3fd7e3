package sqlstore

import (
	"context"
	"os"
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
	walRetry    = time.Second // after a reader kept the log from being emptied
)

// walKeeper keeps the write-ahead log short. Copying runs on a connection of its own, so that the writer's commits pay only for
// their own bytes; it can keep up but cannot make the log start again while writes go on, so now and then the writer empties it.
type walKeeper struct {
	path  string
	conn  sqliteConn
	log   *logrus.Entry
	long  atomic.Bool // the log is longer than walMax
	again atomic.Int64
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
		size := k.size()
		if !pace.due(size, now) {
			continue
		}
		if _, err := queryInt(ctx, k.conn, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil && ctx.Err() == nil {
			k.log.WithError(err).Warn("Cannot copy the write-ahead log into the database")
		}
		if size > walMax && time.Now().UnixNano() > k.again.Load() {
			k.long.Store(true)
		}
	}
}

// walPace decides when to copy.
type walPace struct {
	size int64 // of the log, at the last copy
	at   time.Time
}

// due reports whether a log of this size is to be copied now.
func (p *walPace) due(size int64, now time.Time) bool {
	p.size = min(p.size, size) // it was emptied
	if size < walStart || size-p.size < walStep && now.Sub(p.at) < walPause {
		return false
	}
	p.size, p.at = size, now
	return true
}

func (k *walKeeper) size() int64 {
	info, err := os.Stat(k.path)
	if err != nil {
		return 0 // there is none yet
	}
	return info.Size()
}

func (k *walKeeper) tooLong() bool { return k.long.Load() }

// truncated says how emptying the log went.
func (k *walKeeper) truncated(err error) {
	k.long.Store(false)
	if err != nil {
		k.log.WithError(err).Warn("Cannot empty the write-ahead log")
	}
	k.again.Store(time.Now().Add(walRetry).UnixNano())
}
