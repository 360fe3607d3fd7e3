package netguard_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/netguard"
	"github.com/pyralis-io/pyralis/internal/netguard/dnstest"
)

func guard(t *testing.T, o netguard.Options) *netguard.Guard {
	t.Helper()
	g, err := netguard.New(o)
	require.NoError(t, err)
	return g
}

// public are addresses that anybody may be sent to.
var public = []string{"8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0", "198.17.0.1", "198.20.0.0", "223.255.255.255", "2606:4700::1111", "2a00::1", "::ffff:8.8.8.8"}

// forbidden are addresses that nobody may be sent to unless they are allowed.
var forbidden = []string{
	"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.1.1", "100.64.0.1", "100.127.255.255",
	"224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1", "192.0.0.1", "198.18.0.1", "198.19.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1",
	"::", "::1", "::7f00:1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "fe80::1", "fe80::1%lo", "::1%lo", "fc00::1", "fdff::1", "fec0::1", "ff02::1",
	"64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "64:ff9b:1:a00:0:100::", "64:ff9b:1::a9fe:a9ff", "2002:7f00:1::", "2002:0808:0808::1", "2001::1", "2001:0:53aa:64c::", "2001:db8::1", "2001:2::1", "3fff::1", "100::1", "5f00::1",
}

// metadata are addresses at which a cloud gives away the credentials of the machine.
var metadata = []string{
	"169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
	"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254", "::ffff:0:169.254.169.254", "fd00:ec2::254%eth0",
	// Local translation, with prefixes of 48, 56, 64 and 96 bits; Teredo, whose client is written with all bits turned, and whose server is not.
	"64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::1", "64:ff9b:1:7:a9:fea9:fe00:1", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:6464:64:c800::", "2001:0:808:808:8000:63bf:5601:5601", "2001:0:a9fe:a9fe::1",
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	strict, open := guard(t, netguard.Options{}), guard(t, netguard.Options{AllowPrivate: true})
	for _, a := range public {
		require.NoError(t, strict.Check(netip.MustParseAddr(a)), a)
		require.NoError(t, open.Check(netip.MustParseAddr(a)), a)
	}
	for _, a := range forbidden {
		var f *netguard.Forbidden
		require.ErrorAs(t, strict.Check(netip.MustParseAddr(a)), &f, a)
		require.NotEmpty(t, f.What)
		require.NoError(t, open.Check(netip.MustParseAddr(a)), a)
	}
	for _, a := range metadata {
		var f *netguard.Forbidden
		require.ErrorAs(t, strict.Check(netip.MustParseAddr(a)), &f, a)
		require.ErrorAs(t, open.Check(netip.MustParseAddr(a)), &f, "%s, whatever is allowed", a)
		require.NoError(t, guard(t, netguard.Options{Allow: []string{a}}).Check(netip.MustParseAddr(a)), "%s, when it is named", a)
	}
	require.Error(t, open.Check(netip.Addr{}))
}

func TestAllowList(t *testing.T) {
	t.Parallel()
	g := guard(t, netguard.Options{Allow: []string{"10.1.0.0/16", "fd12::/16", "192.168.7.7", "Hooks.Internal."}})
	for host, ok := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "fd12::1": true, "fd13::1": false, "192.168.7.7": true, "192.168.7.8": false,
		"hooks.internal": true, "HOOKS.INTERNAL.": true, "localhost": false, "a.localhost": false, "example.com": true,
	} {
		if ok {
			require.NoError(t, g.CheckHost(host), host)
		} else {
			require.Error(t, g.CheckHost(host), host)
		}
	}
	require.NoError(t, guard(t, netguard.Options{Allow: []string{"127.0.0.0/8"}}).CheckHost("localhost"))
	for _, bad := range []string{"", "10.0.0.0/33", "300.1.1.1", "a b", "http://x", "::ffff:10.0.0.0/104", "*.internal", "10.0.0"} {
		_, err := netguard.New(netguard.Options{Allow: []string{bad}})
		require.ErrorContains(t, err, `"`+bad+`"`)
	}
}

// spelled are the ways to write 127.0.0.1 and what is like it that some program understands.
var spelled = []string{
	"2130706433", "017700000001", "0x7f000001", "0x7F000001", "0177.0.0.1", "0x7f.0.0.1", "0x7f.1", "127.1", "127.0.1", "127.0.0.1.", "0", "0x", "00", "127.0.0.0x1", "1.2.3", "256.256.256.256",
	"１２７.０.０.１", "127。0。0。1", "127.0.0.1 ", "[::1]", "::1]", "", ".", "..", "a..b", "a b", "-a", "a-.b", "a%00b", "a/b", "a@127.0.0.1", "a:80", strings.Repeat("a", 64), strings.Repeat("a.", 130) + "a",
}

// What a host can be is the same whatever is allowed: other spellings of addresses are none.
func TestSpellings(t *testing.T) {
	t.Parallel()
	for _, g := range []*netguard.Guard{guard(t, netguard.Options{}), guard(t, netguard.Options{AllowPrivate: true})} {
		for _, host := range spelled {
			require.Error(t, g.CheckHost(host), "%q", host)
		}
		for _, host := range []string{"example.com", "example.com.", "EXAMPLE.com", "xn--mnchen-3ya.example", "a_b.example", "1.example.com", "8.8.8.8", "2606:4700::1111", "0x7f.example", "dead.beef", "localhost1"} {
			require.NoError(t, g.CheckHost(host), "%q", host)
		}
	}
}

// server is a server on a loopback address that must not be reached, unless it may be.
func server(t *testing.T) (port string, s *httptest.Server) {
	t.Helper()
	s = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "reached") }))
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	require.NoError(t, err)
	return port, s
}

// Each form of an address that may not be connected to is refused when it is dialled, literal or behind a name.
func TestForbiddenIsRefusedAtDial(t *testing.T) {
	t.Parallel()
	port, _ := server(t)
	all := append(append([]string(nil), forbidden...), metadata...)
	resolver := dnstest.Resolver(t, func(name string, _ int) []string {
		for _, a := range all {
			if addr := netip.MustParseAddr(a).WithZone(""); name == nameOf(addr) {
				return []string{addr.String()}
			}
		}
		return []string{"127.0.0.1"} // whatever else is asked for, the other spellings of addresses too
	})
	g := guard(t, netguard.Options{Resolver: resolver})
	for _, a := range all {
		_, err := g.DialContext(t.Context(), "tcp", net.JoinHostPort(a, port))
		var f *netguard.Forbidden
		require.ErrorAs(t, err, &f, a)
		_, err = g.DialContext(t.Context(), "tcp", net.JoinHostPort(nameOf(netip.MustParseAddr(a)), port))
		require.ErrorAs(t, err, &f, "%s behind a name", a)
		require.Equal(t, nameOf(netip.MustParseAddr(a)), f.Host)
	}
	for _, host := range spelled {
		_, err := g.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		require.Error(t, err, "%q", host)
	}
}

// nameOf is a host name for an address.
func nameOf(a netip.Addr) string {
	return "a" + strings.NewReplacer(".", "-", ":", "x").Replace(a.WithZone("").String()) + "a.example"
}

// A name that is harmless when it is looked at and not when it is used, or the other way round, is judged by the address that is used.
func TestNameThatResolvesDifferentlyTheSecondTime(t *testing.T) {
	t.Parallel()
	port, _ := server(t)
	resolver := dnstest.Resolver(t, func(_ string, nth int) []string {
		if nth == 1 {
			return []string{"8.8.8.8"}
		}
		return []string{"127.0.0.1"}
	})
	addrs, err := resolver.LookupHost(t.Context(), "rebinds.example")
	require.NoError(t, err)
	require.Equal(t, []string{"8.8.8.8"}, addrs, "the look that finds nothing wrong")
	_, err = guard(t, netguard.Options{Resolver: resolver}).DialContext(t.Context(), "tcp", "rebinds.example:"+port)
	require.EqualError(t, err, "rebinds.example resolves to 127.0.0.1, a loopback address, which may not be connected to")
	conn, err := guard(t, netguard.Options{Resolver: resolver, AllowPrivate: true}).DialContext(t.Context(), "tcp", "rebinds.example:"+port)
	require.NoError(t, err, "it is the policy that refused, not the network")
	require.NoError(t, conn.Close())
}

// Of the addresses of a name, only those are tried that are allowed.
func TestNameWithAllowedAndForbiddenAddresses(t *testing.T) {
	t.Parallel()
	port, _ := server(t)
	resolver := dnstest.Resolver(t, func(string, int) []string { return []string{"10.255.255.1", "127.0.0.1", "fd00:ec2::254"} })
	conn, err := guard(t, netguard.Options{Resolver: resolver, Allow: []string{"127.0.0.1"}}).DialContext(t.Context(), "tcp", "many.example:"+port)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:"+port, conn.RemoteAddr().String())
	require.NoError(t, conn.Close())
	conn, err = guard(t, netguard.Options{Resolver: dnstest.Resolver(t, func(string, int) []string { return []string{"127.0.0.1"} }), Allow: []string{"one.example"}}).
		DialContext(t.Context(), "tcp", "one.example:"+port)
	require.NoError(t, err, "a name that is listed may resolve to anything")
	require.NoError(t, conn.Close())
}

func TestTargetOfAProxy(t *testing.T) {
	t.Parallel()
	resolver := dnstest.Resolver(t, func(name string, _ int) []string {
		return map[string][]string{"good.example": {"8.8.8.8"}, "half.example": {"8.8.8.8", "10.0.0.1"}, "listed.example": {"10.0.0.1"}}[name]
	})
	g := guard(t, netguard.Options{Resolver: resolver, Allow: []string{"listed.example"}})
	for host, ok := range map[string]bool{
		"good.example": true, "half.example": false, "listed.example": true, "unknown.example": true, "8.8.8.8": true, "10.0.0.1": false, "::1": false, "0x7f.1": false, "localhost": false,
	} {
		if ok {
			require.NoError(t, g.CheckTarget(t.Context(), host), host)
		} else {
			require.Error(t, g.CheckTarget(t.Context(), host), host)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.CheckTarget(ended, "good.example"), context.Canceled, "no look, no verdict")
}

// A server behind a guard is reached as without one, over TLS too.
func TestTransport(t *testing.T) {
	t.Parallel()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "reached") }))
	t.Cleanup(s.Close)
	for allow, ok := range map[bool]bool{true: true, false: false} {
		transport := &http.Transport{DialContext: guard(t, netguard.Options{AllowPrivate: allow}).DialContext, TLSClientConfig: s.Client().Transport.(*http.Transport).TLSClientConfig}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
		require.NoError(t, err)
		res, err := (&http.Client{Transport: transport}).Do(req)
		if !ok {
			var f *netguard.Forbidden
			require.ErrorAs(t, err, &f)
			continue
		}
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		transport.CloseIdleConnections()
	}
}
