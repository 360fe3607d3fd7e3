// Package dnstest is a name server within a test.
package dnstest

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

// server answers questions until the connections to it are closed.
type server struct {
	answer func(name string, nth int) []string

	mu     sync.Mutex
	asked  map[string]int // guarded by mu; questions for IPv4 addresses
	closed bool           // guarded by mu
}

// Resolver returns a resolver that asks nobody but answer, which gets the number of the question for that name, from 1, and returns addresses; nil: the
// name is not known.
func Resolver(t *testing.T, answer func(name string, nth int) []string) *net.Resolver {
	t.Helper()
	s := &server{answer: answer, asked: make(map[string]int)}
	var serving sync.WaitGroup
	t.Cleanup(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		serving.Wait()
	})
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed { // a look-up that was given up goes on behind the test
			return nil, net.ErrClosed
		}
		here, there := net.Pipe()
		serving.Go(func() { s.serve(there) })
		return here, nil
	}}
}

// serve speaks DNS as over TCP: each message behind its length.
func (s *server) serve(conn net.Conn) {
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
		reply := s.reply(raw)
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
			return
		}
	}
}

func (s *server) reply(raw []byte) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(raw); err != nil {
		panic(err)
	}
	q := m.Questions[0]
	name := q.Name.String()
	name = name[:len(name)-1]
	s.mu.Lock()
	if q.Type == dnsmessage.TypeA {
		s.asked[name]++
	}
	nth := max(s.asked[name], 1)
	s.mu.Unlock()
	m.Response, m.Authoritative, m.RecursionAvailable, m.Additionals = true, true, true, nil
	addrs := s.answer(name, nth)
	if addrs == nil {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, text := range addrs {
		a := netip.MustParseAddr(text)
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
