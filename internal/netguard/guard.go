package netguard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// dialTimeout bounds a connection attempt whose context has no nearer end.
const dialTimeout = 30 * time.Second

// Options make a Guard.
type Options struct {
	// AllowPrivate allows all addresses but those of the metadata services of clouds.
	AllowPrivate bool
	// Allow lists what is allowed besides: addresses (10.1.2.3), ranges (10.0.0.0/8) and host names, whatever these resolve to.
	Allow []string
	// Resolver resolves names; nil: the system's.
	Resolver *net.Resolver
}

// Guard lets connections through to the addresses that it allows. It is safe for concurrent use.
type Guard struct {
	private  bool
	ranges   []netip.Prefix
	hosts    []string
	resolver *net.Resolver
}

// New makes a guard.
func New(o Options) (*Guard, error) {
	g := &Guard{private: o.AllowPrivate, resolver: o.Resolver}
	for _, item := range o.Allow {
		if err := g.allow(item); err != nil {
			return nil, err
		}
	}
	if g.resolver == nil {
		g.resolver = net.DefaultResolver
	}
	return g, nil
}

func (g *Guard) allow(item string) error {
	if a, err := netip.ParseAddr(item); err == nil {
		a = plain(a)
		g.ranges = append(g.ranges, netip.PrefixFrom(a, a.BitLen()))
		return nil
	}
	if strings.Contains(item, "/") {
		p, err := netip.ParsePrefix(item)
		switch {
		case err != nil:
			return fmt.Errorf("%q is no range of addresses such as 10.0.0.0/8 or fd12::/16", item)
		case p.Addr().Is4In6():
			return fmt.Errorf("%q is a range of IPv4 addresses: write it as one, such as 10.0.0.0/8", item)
		}
		g.ranges = append(g.ranges, p.Masked())
		return nil
	}
	host := canonical(item)
	if problem := nameProblem(host); problem != "" {
		return fmt.Errorf("%q %s; list addresses (10.1.2.3), ranges (10.0.0.0/8) and host names", item, problem)
	}
	g.hosts = append(g.hosts, host)
	return nil
}

// Forbidden is the refusal to connect.
type Forbidden struct {
	Host string // as it was asked for
	Addr string // the address it stands for; "" if that was not needed
	What string // what the address is, e.g. "a loopback address"
}

// Error returns "host is what, which may not be connected to".
func (f *Forbidden) Error() string {
	if f.Addr == "" || f.Addr == f.Host {
		return fmt.Sprintf("%s is %s, which may not be connected to", f.Host, f.What)
	}
	return fmt.Sprintf("%s resolves to %s, %s, which may not be connected to", f.Host, f.Addr, f.What)
}

// Check says whether an address may be connected to; the error is a *Forbidden.
func (g *Guard) Check(a netip.Addr) error {
	p := plain(a)
	if slices.ContainsFunc(g.ranges, func(r netip.Prefix) bool { return r.Contains(p) }) {
		return nil
	}
	what := within(credentials, p)
	for _, v4 := range embedded(p) {
		what = cmp.Or(what, within(credentials, v4))
	}
	if what == "" && !g.private {
		what = within(special, p)
	}
	switch {
	case what != "":
		return &Forbidden{Host: a.String(), Addr: a.String(), What: what}
	case !p.IsValid():
		return &Forbidden{Host: a.String(), What: "no address"}
	}
	return nil
}

// CheckHost says what can be known of the host of a URL without asking anybody: the error is a *Forbidden for a literal address or a name that may
// not be connected to, and another one for what is no host. IPv6 addresses come without brackets.
func (g *Guard) CheckHost(host string) error {
	if a, err := netip.ParseAddr(host); err == nil {
		return g.Check(a)
	}
	name := canonical(host)
	if slices.Contains(g.hosts, name) {
		return nil
	}
	if problem := nameProblem(name); problem != "" {
		return fmt.Errorf("%q %s", host, problem)
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return named(g.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1})), host)
	}
	return nil
}

// CheckTarget says what can be known of a host that a proxy will connect to. A name is resolved, and none of its addresses may be forbidden, since
// the proxy takes any. A name that is unknown here is left to the proxy.
func (g *Guard) CheckTarget(ctx context.Context, host string) error {
	if err := g.CheckHost(host); err != nil {
		return err
	}
	if _, err := netip.ParseAddr(host); err == nil || slices.Contains(g.hosts, canonical(host)) {
		return nil
	}
	addrs, err := g.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil // the proxy may have another view of the names
	}
	for _, a := range addrs {
		if err := g.Check(a); err != nil {
			return named(err, host)
		}
	}
	return nil
}

// DialContext connects to "host:port", if the address that the host stands for at this moment is allowed. Of several addresses those are
// tried that are. It is what http.Transport takes.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if err := g.CheckHost(host); err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: dialTimeout, Resolver: g.resolver}
	if !slices.Contains(g.hosts, canonical(host)) {
		// It runs for each address, after it is resolved and before anything is sent to it.
		d.ControlContext = func(_ context.Context, _, resolved string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(resolved)
			if err != nil {
				return fmt.Errorf("address %q: %w", resolved, err)
			}
			return g.Check(at.Addr())
		}
	}
	conn, err := d.DialContext(ctx, network, address)
	return conn, named(err, host)
}

// named puts the name that was asked for into a refusal.
func named(err error, host string) error {
	var f *Forbidden
	if !errors.As(err, &f) {
		return err
	}
	if f.Addr == host {
		return f
	}
	return &Forbidden{Host: host, Addr: f.Addr, What: f.What}
}
