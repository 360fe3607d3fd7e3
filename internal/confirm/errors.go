package confirm

import (
	"errors"
	"fmt"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// The alarms that stop a ledger; decide with errors.Is. A store.ErrFenced does so as well.
var (
	ErrChainChanged = errors.New("the chain changed where it cannot")
	ErrOtherLedger  = errors.New("this is another ledger than before")
	ErrPruned       = errors.New("blocks are gone that were not read yet")
)

// alarm ends a ledger, not just a run.
type alarm struct{ err error }

func (a *alarm) Error() string { return a.err.Error() }
func (a *alarm) Unwrap() error { return a.err }

func alarmf(format string, args ...any) error { return &alarm{fmt.Errorf(format, args...)} }

// Reasons to end a run that are nobody's fault. The next one starts at once if this one got somewhere.
var (
	errGap      = errors.New("blocks are missing")
	errMoved    = errors.New("the stored position is not what this run knows")
	errReplaced = errors.New("a block was replaced while it was read")
	errEnded    = errors.New("the connector ended the blocks without an error")
	errHalfOpen = errors.New("the node is ahead and sends no blocks")
)

// expected reports whether err needs no warning.
func expected(err error) bool {
	return errors.Is(err, errGap) || errors.Is(err, errMoved) || errors.Is(err, errReplaced)
}

func isKind(err error, kind ffcapi.Kind) bool { return err != nil && ffcapi.KindOf(err) == kind }
