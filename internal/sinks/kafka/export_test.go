package kafka

import (
	"math"
	"net"
	"sync"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// NewConn makes a connection that lets nothing out while filling is locked.
func NewConn(c net.Conn, filling *sync.RWMutex) net.Conn { return &conn{Conn: c, filling: filling} }

// Refresh has the client of a sink that has sent something ask for its topics again.
func Refresh(s sink.Sink) { s.(*producer).client.kafka.ForceMetadataRefresh() }

// LoadError is what the client of a sink was last answered of a topic as a whole, nil if all is well.
func LoadError(s sink.Sink, topic string) error {
	_, _, err := s.(*producer).client.kafka.PartitionLeader(topic, math.MaxInt32)
	return err
}
