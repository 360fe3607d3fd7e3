package msgs

import (
	"context"
	"slices"
	"sync"

	"github.com/hyperledger/firefly-common/pkg/i18n"
	"golang.org/x/text/language"
)

// Prefix begins every code.
const Prefix = "PY10"

// Code is one cause of an error answer.
type Code struct {
	ID      string // "PY10nnn"
	Status  int    // HTTP status
	Format  string // of the text; every insert is a %s
	Meaning string // what it means and what to do, for the documentation
}

// Text returns "PY10nnn: text" in the language of ctx. There are as many inserts as the format has verbs.
func (c *Code) Text(ctx context.Context, inserts ...string) string {
	register()
	args := make([]any, len(inserts))
	for i, s := range inserts {
		args[i] = s
	}
	return i18n.ExpandWithCode(ctx, i18n.MessageKey(c.ID), args...)
}

// All lists the codes in order.
func All() []*Code { return slices.Clone(all) }

var register = sync.OnceFunc(func() {
	i18n.RegisterPrefix(Prefix, "Pyralis")
	for _, c := range all {
		i18n.FFE(language.AmericanEnglish, c.ID, c.Format, c.Status)
	}
})
