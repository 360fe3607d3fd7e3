// Package migrations holds the schema of the store, a folder for each dialect.
package migrations

import "embed"

// FS has the folders postgres and sqlite, each with what goose applies in the order of the numbers in front.
//
//go:embed postgres sqlite
var FS embed.FS
