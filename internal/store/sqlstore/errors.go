package sqlstore

import (
	"fmt"

	"github.com/pyralis-io/pyralis/internal/store"
)

// errRows is a write that met another number of rows than it must: somebody else changed them.
var errRows = fmt.Errorf("a row was changed by somebody else: %w", store.ErrConflict)
