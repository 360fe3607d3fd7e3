package sqlstore

import (
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
)

// errRows is a write that met another number of rows than it must: somebody else changed them.
var errRows = fmt.Errorf("a row was changed by somebody else: %w", store.ErrConflict)

// errAgain is a transaction that certainly did not happen, for a reason that has nothing to do with what was in it.
var errAgain = fmt.Errorf("transaction was interrupted: %w", store.ErrUnavailable)
