package netguard

import "strings"

const maxNameLength = 253 // of DNS

// canonical is the one spelling of a host name.
func canonical(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// nameProblem says why a host in its canonical spelling is no name, "" if it is one. What ends in a number is an address to some programs and a name to others
// (2130706433, 0x7f.1, 0177.0.0.1 are all 127.0.0.1 to some), so it is neither here.
func nameProblem(host string) string {
	if host == "" {
		return "has no host"
	}
	if len(host) > maxNameLength {
		return "is longer than a host name can be"
	}
	labels := strings.Split(host, ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-") {
			return "is not a host name"
		}
		if i := strings.IndexFunc(l, func(r rune) bool { return !isNameRune(r) }); i >= 0 {
			if strings.ContainsFunc(l, func(r rune) bool { return r > 0x7f }) {
				return "is not in ASCII: write the name as it is in DNS, with xn--"
			}
			return "is not a host name"
		}
	}
	if last := labels[len(labels)-1]; isNumber(last) {
		return "ends in a number and is no address: write an IPv4 address as four decimal numbers, such as 192.0.2.1"
	}
	return ""
}

func isNameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// isNumber says whether a label is a number to some programs: decimal or octal digits, or hexadecimal ones behind 0x.
func isNumber(label string) bool {
	digits := "0123456789"
	if rest, ok := strings.CutPrefix(label, "0x"); ok {
		label, digits = rest, digits+"abcdef"
	}
	return strings.Trim(label, digits) == ""
}
