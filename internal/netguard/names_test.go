package netguard_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// names is a name server in the test: it answers with what a function says, which gets the number of the question for that name.
type names struct {
	answer func(name string, nth int) []string

	mu    sync.Mutex
	asked map[string]int // guarded by mu; questions for IPv4 addresses
}

// resolver returns a resolver that asks only this server.
func (n *names) resolver(t *testing.T) *net.Resolver {
	t.Helper()
	n.asked = make(map[string]int)
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait)
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		serving.Go(func() { n.serve(there) })
		return here, nil
	}}
}

// serve speaks DNS as over TCP: each message behind its length.
func (n *names) serve(conn net.Conn) {
	defer conn.Close()
	for {
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		raw := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, raw); err != nil {
			return
		}
		reply := n.reply(raw)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

func (n *names) reply(raw []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(raw); err != nil {
		panic(err)
	}
	q := m.Questions[0]
	name := q.Name.String()
	name = name[:len(name)-1]
	n.mu.Lock()
	if q.Type == dnsmessage.TypeA {
		n.asked[name]++
	}
	nth := max(n.asked[name], 1)
	n.mu.Unlock()
	m.Response, m.Authoritative, m.RecursionAvailable, m.Additionals = true, true, true, nil
	addrs := n.answer(name, nth)
	if addrs == nil {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, s := range addrs {
		a := netip.MustParseAddr(s)
		h := dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type}
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	out, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return out
}
