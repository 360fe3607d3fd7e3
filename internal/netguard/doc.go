// Package netguard decides which addresses the node may connect to on behalf of others, so that nobody who may name a URL reaches what only
// the node can reach: the services of its own machine, of its network, of its cloud.
//
//	URL ─▶ CheckHost (when it is stored: literal addresses)
//	    ─▶ DialContext ─ resolver ─▶ addresses ─▶ Check (of the very address, before the first packet) ─▶ connection
//	    ─▶ CheckTarget (behind a proxy: all addresses that we find)
//
// Invariants:
//
//   - The address that is checked is the address that is connected to: a name that resolves differently the second time gains nothing.
//   - Each form of an IPv4 address inside IPv6 is judged as what it stands for, or refused.
//   - Where the clouds keep the credentials of their machines is refused even if private addresses are allowed; only a list that names it
//     opens it.
//
// Behind a proxy it is the proxy that resolves and connects. Then all that is known here is checked, literal addresses and names that
// resolve here, and the rest is the proxy's to refuse.
package netguard
