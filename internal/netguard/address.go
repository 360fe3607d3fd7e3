package netguard

import "net/netip"

// block is a range of addresses that are not of the public internet.
type block struct {
	prefix netip.Prefix
	what   string
}

func blocks(what string, prefixes ...string) []block {
	list := make([]block, 0, len(prefixes))
	for _, p := range prefixes {
		list = append(list, block{netip.MustParsePrefix(p), what})
	}
	return list
}

// credentials are where clouds give the credentials of a machine to whoever asks from that machine.
//
//nolint:gochecknoglobals // constant
var credentials = blocks("the metadata service of a cloud",
	"169.254.169.254/32", "169.254.170.2/32", "169.254.170.23/32", "fd00:ec2::254/128", "fd00:ec2::23/128",
	"100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32", "fd20:ce::254/128")

// special are all other ranges that are not of the public internet, as IANA registers them. IPv4 addresses inside IPv6 come unmapped.
//
//nolint:gochecknoglobals // constant
var special = concat(
	blocks("an unspecified address", "0.0.0.0/8", "::/128"),
	blocks("a loopback address", "127.0.0.0/8", "::1/128"),
	blocks("a private address", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
	blocks("a link-local address", "169.254.0.0/16", "fe80::/10"),
	blocks("an address of carrier-grade NAT", "100.64.0.0/10"),
	blocks("a multicast address", "224.0.0.0/4", "ff00::/8"),
	blocks("the broadcast address", "255.255.255.255/32"),
	blocks("an address for benchmarks", "198.18.0.0/15", "2001:2::/48"),
	blocks("an address for documentation", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
	translated, translatedHere, sixToFour, teredo,
	blocks("a reserved address", "192.0.0.0/24", "192.88.99.0/24", "240.0.0.0/4", "100::/64", "100:0:0:1::/64", "2001::/23", "5f00::/16"),
)

func concat(lists ...[]block) []block {
	var all []block
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// within returns what the first block is that holds the address, "" if none does.
func within(list []block, a netip.Addr) string {
	for _, b := range list {
		if b.prefix.Contains(a) {
			return b.what
		}
	}
	return ""
}

// plain is the address without what makes two names of one: an IPv4 address mapped into IPv6, a zone.
func plain(a netip.Addr) netip.Addr { return a.WithZone("").Unmap() }

// embedded are the IPv4 addresses that an IPv6 address may lead to by translation or a tunnel: one, or several where it cannot be seen which one.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() {
		return nil
	}
	b := a.As16()
	v4 := func(first, second, third, fourth int) netip.Addr {
		return netip.AddrFrom4([4]byte{b[first], b[second], b[third], b[fourth]})
	}
	switch {
	case within(translated, a) != "":
		return []netip.Addr{v4(12, 13, 14, 15)}
	case within(translatedHere, a) != "": // RFC 6052, for prefixes of 48, 56, 64 and 96 bits, around the byte 8, which is none of its
		return []netip.Addr{v4(6, 7, 9, 10), v4(7, 9, 10, 11), v4(9, 10, 11, 12), v4(12, 13, 14, 15)}
	case within(sixToFour, a) != "":
		return []netip.Addr{v4(2, 3, 4, 5)}
	case within(teredo, a) != "": // its server, and its client with all bits turned
		return []netip.Addr{v4(4, 5, 6, 7), netip.AddrFrom4([4]byte{^b[12], ^b[13], ^b[14], ^b[15]})}
	}
	return nil
}

const inside = "an IPv4 address inside IPv6"

// The ranges that hold IPv4 addresses.
//
//nolint:gochecknoglobals // constant
var (
	translated     = blocks(inside, "::/96", "::ffff:0:0:0/96", "64:ff9b::/96") // in the last four bytes
	translatedHere = blocks(inside, "64:ff9b:1::/48")                           // each network translates as it likes
	sixToFour      = blocks(inside, "2002::/16")
	teredo         = blocks(inside, "2001::/32")
)
