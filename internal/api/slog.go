package api

import (
	"context"
	"log/slog"

	"github.com/sirupsen/logrus"
)

// slogTo passes what net/http has to say to the node's log.
type slogTo struct{ log *logrus.Entry }

// Enabled is true: the node's log decides.
func (slogTo) Enabled(context.Context, slog.Level) bool { return true }

// Handle writes a record.
func (h slogTo) Handle(_ context.Context, r slog.Record) error {
	h.log.Warn(r.Message)
	return nil
}

// WithAttrs is not used by net/http.
func (h slogTo) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup is not used by net/http.
func (h slogTo) WithGroup(string) slog.Handler { return h }
