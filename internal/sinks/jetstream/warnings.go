package jetstream

import (
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	fullWindow = 2 * time.Minute // a stream remembers the ids of messages unless it is set up otherwise
	day        = 24 * time.Hour
)

// unusable says why nothing can be delivered to a stream; "" if it can.
func unusable(c *jetstream.StreamConfig) string {
	switch {
	case c.NoAck:
		return "acknowledges nothing (no_ack), so that nobody could know what it has stored"
	case c.Sealed:
		return "is sealed and takes nothing any more"
	case c.Mirror != nil:
		return fmt.Sprintf("is a mirror of %s and takes nothing else", c.Mirror.Name)
	}
	return ""
}

// warnings says what the stream lacks, a sentence each.
func (l *link) warnings() []string {
	c, all := &l.info.Config, []string(nil)
	warn := func(format string, args ...any) {
		all = append(all, fmt.Sprintf("the JetStream stream %s ", l.stream)+fmt.Sprintf(format, args...))
	}
	if c.Storage == jetstream.MemoryStorage {
		warn("is kept in memory: what it has acknowledged is gone when its servers stop")
	}
	if c.Replicas <= 1 {
		warn("has one replica: what it has acknowledged is gone with that server's disk")
		if c.Storage == jetstream.FileStorage {
			warn("may be written to disk lazily (sync_interval): what was acknowledged in the last moments before a power failure may be lost, unless the server has sync_interval: always")
		}
	}
	if c.PersistMode == jetstream.AsyncPersistMode {
		warn("acknowledges messages before it writes them (persist_mode async)")
	}
	if c.Duplicates < fullWindow {
		warn("remembers message ids for %s only (duplicate_window): what comes again later than that is stored again", c.Duplicates)
	}
	if c.Discard == jetstream.DiscardOld && (c.MaxMsgs > 0 || c.MaxBytes > 0 || c.MaxMsgsPerSubject > 0) {
		warn("drops its oldest messages when it is full (discard old), whether they were read or not")
	}
	if c.MaxAge > 0 && c.MaxAge < day {
		warn("drops messages after %s (max_age): events are lost if their consumer is away for longer", c.MaxAge)
	}
	if c.Retention == jetstream.InterestPolicy {
		warn("keeps nothing while it has no consumer (retention interest), though it acknowledges")
	}
	return all
}
