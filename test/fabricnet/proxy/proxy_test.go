package proxy

import (
	"bytes"
	"crypto/rand"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const soon = 10 * time.Second

// echo answers each connection with what it says, until the test ends.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // the client may be cut off
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, ln.Close())
		wg.Wait()
	})
	return ln.Addr().String()
}

// toEcho is a proxy before an echo.
func toEcho(t *testing.T) *Proxy {
	t.Helper()
	target := echo(t)
	p, err := Listen("127.0.0.1:0", target)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) }) // before the echo ends, which waits for its connections
	return p
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // the test may have closed it
	return conn.(*net.TCPConn)
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := conn.Write([]byte(text))
	require.NoError(t, err)
}

func hear(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(soon)))
	buf := make([]byte, len(text))
	_, err := io.ReadFull(conn, buf)
	require.NoError(t, err)
	require.Equal(t, text, string(buf))
}

// hearNothing checks that a connection neither speaks nor ends for a while.
func hearNothing(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// hearReset checks that a connection breaks.
func hearReset(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(soon)))
	_, err := conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NotErrorIs(t, err, io.EOF)
}

func TestBytesPassInOrderAndBothEndsClose(t *testing.T) {
	t.Parallel()
	p := toEcho(t)
	conn := dial(t, p)
	sent := make([]byte, 5<<20)
	_, err := rand.Read(sent)
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := io.Copy(conn, bytes.NewReader(sent))
		if err == nil {
			err = conn.CloseWrite()
		}
		if err != nil {
			t.Error(err)
		}
	})
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(soon)))
	got, err := io.ReadAll(conn)
	wg.Wait()
	require.NoError(t, err, "the end of the data is passed on, there and back")
	require.True(t, bytes.Equal(sent, got))
	require.Eventually(t, func() bool { return p.Back() == int64(len(sent)) }, soon, time.Millisecond) // counted after it was sent
}

func TestDelay(t *testing.T) {
	t.Parallel()
	p := toEcho(t)
	conn := dial(t, p)
	say(t, conn, "a")
	hear(t, conn, "a")
	p.Delay(100 * time.Millisecond)
	began := time.Now()
	for range 10 { // many bytes are on their way at once
		say(t, conn, "b")
	}
	hear(t, conn, "bbbbbbbbbb")
	require.GreaterOrEqual(t, time.Since(began), 200*time.Millisecond, "there and back")
	p.Heal()
	say(t, conn, "c")
	hear(t, conn, "c")
}

func TestSilence(t *testing.T) {
	t.Parallel()
	p := toEcho(t)
	conn := dial(t, p)
	say(t, conn, "a")
	hear(t, conn, "a")
	p.Silence()
	p.Silence() // twice is no more than once
	say(t, conn, "b")
	late := dial(t, p)
	say(t, late, "c")
	hearNothing(t, conn)
	hearNothing(t, late)
	p.Heal()
	hear(t, conn, "b")
	hear(t, late, "c")
	say(t, conn, "d")
	hear(t, conn, "d")
}

func TestAnEndIsSilentToo(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	p, err := Listen("127.0.0.1:0", ln.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	conn := dial(t, p)
	server, err := ln.Accept()
	require.NoError(t, err)
	defer server.Close()
	p.Silence()
	reset(conn)
	hearNothing(t, server)
	p.Heal()
	hearReset(t, server)
}

func TestCut(t *testing.T) {
	t.Parallel()
	p := toEcho(t)
	conn := dial(t, p)
	say(t, conn, "a")
	hear(t, conn, "a")
	p.Cut()
	hearReset(t, conn)
	late, err := net.Dial("tcp", p.Addr())
	if err == nil { // the kernel may have noticed the reset already
		hearReset(t, late)
		require.NoError(t, late.Close())
	}
	p.Heal()
	again := dial(t, p)
	say(t, again, "b")
	hear(t, again, "b")
}

func TestCutEndsASilence(t *testing.T) {
	t.Parallel()
	p := toEcho(t)
	p.Silence()
	conn := dial(t, p)
	say(t, conn, "a")
	hearNothing(t, conn)
	p.Cut()
	hearReset(t, conn)
}

func TestNobodyBehind(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	target := ln.Addr().String()
	require.NoError(t, ln.Close())
	p, err := Listen("127.0.0.1:0", target)
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil {
		hearReset(t, conn)
		require.NoError(t, conn.Close())
	}
}

// TestCloseLeavesNothing closes a proxy in each state with connections on it; goleak sees what stays.
func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(*Proxy){
		"healed": (*Proxy).Heal, "silent": (*Proxy).Silence, "cut": (*Proxy).Cut, "slow": func(p *Proxy) { p.Delay(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := toEcho(t)
			before := dial(t, p)
			say(t, before, "a")
			hear(t, before, "a")
			do(p)
			_, _ = before.Write([]byte("b")) // where it is cut, that fails
			if after, err := net.Dial("tcp", p.Addr()); err == nil {
				_, _ = after.Write([]byte("c"))
				defer after.Close()
			}
			require.NoError(t, p.Close())
			require.NoError(t, p.Close(), "twice is fine")
			_, err := net.Dial("tcp", p.Addr())
			require.Error(t, err)
		})
	}
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	p := toEcho(t)
	_, err := Listen(p.Addr(), "127.0.0.1:1")
	var op *net.OpError
	require.ErrorAs(t, err, &op)
}
