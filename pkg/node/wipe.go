package node

import (
	"errors"

	"github.com/pyralis-io/pyralis/internal/config"
	"github.com/pyralis-io/pyralis/internal/store/sqlstore"
)

// Wipe deletes the database and the development ledger in the data directory that cfg names, unless a process uses them.
func Wipe(cfg *Config) error {
	if cfg.Store.Type != config.StoreSQLite {
		return errors.New("store.type: only a SQLite store can be deleted; empty the PostgreSQL database yourself")
	}
	return sqlstore.Wipe(cfg.Store.SQLite.Path, config.ConnectorDevLedger)
}
