package kafka

import (
	"net"
	"sync"
)

// NewConn makes a connection that lets nothing out while filling is locked.
func NewConn(c net.Conn, filling *sync.RWMutex) net.Conn { return &conn{Conn: c, filling: filling} }
