package plugin

import "time"

// Question narrows down what is looked at. Each field may be empty.
type Question struct {
	Ledger   string
	Contract string
	Signer   string
}

// States of a Check.
const (
	CheckOK      = "ok"
	CheckWarning = "warning" // it works, and will not for ever, or not as it should
	CheckFailed  = "failed"
	CheckSkipped = "skipped" // something before it failed, or there is nothing to try
)

// Check is one hop on the way from this machine to the chain, and what came of trying it. Diagnose returns them in the order of the way, so the first
// that failed is the one to mend. It needs no running node, changes nothing on the chain and ends within 10 s.
type Check struct {
	Peer   string // the other side, "" for what is looked at on this machine, or of all peers together
	Ledger string // "" for a hop that belongs to none
	Hop    string
	State  string
	Detail string // what was found
	Fix    string // what may help, for one that failed or is a warning
	Took   time.Duration
}
