package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

func (t *txCommand) list() *cobra.Command {
	var f apitypes.TransactionFilter
	var labels, where []string
	var count bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List transactions, the newest first",
		Long: "List transactions, the newest first. All that is asked for must hold.\n\n" +
			"--where compares a field: FIELD, an operator (= != > >= < <= @ contains, ^ begins with, $ ends with; a : before it: without regard to\n" +
			"upper and lower case), and a value. Fields: " + strings.Join(apitypes.TransactionFields(), ", ") + ".",
		Example: "  pyralis tx list --progress Failed --label objectType=car\n  pyralis tx list --where 'to^assets' --where 'created>=2026-01-31T00:00:00Z'",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if f.Labels, err = pairs("label", labels); err != nil {
				return err
			}
			for _, w := range where {
				c, err := comparison(w)
				if err != nil {
					return err
				}
				f.Match = append(f.Match, []apitypes.Condition{c})
			}
			return t.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				if count {
					n, err := c.CountTransactions(ctx, f)
					if err != nil {
						return nil, err
					}
					return n, nil
				}
				list, err := c.Transactions(ctx, f)
				if err != nil {
					return nil, err
				}
				return list, nil
			})
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.Statuses, "status", nil, "Pending, Suspended, Succeeded or Failed; several with commas")
	flags.StringSliceVar(&f.Progress, "progress", nil, "InProgress, Completed or Failed; several with commas")
	flags.StringVar(&f.Signer, "signer", "", "only those of this signer")
	flags.BoolVar(&f.Pending, "pending", false, "only those that are not final")
	flags.StringArrayVar(&labels, "label", nil, "NAME=VALUE: only those with this label; may be repeated")
	flags.StringArrayVar(&where, "where", nil, "only those whose field compares so, e.g. nonce>=5; may be repeated")
	flags.IntVar(&f.Limit, "limit", 0, "transactions at most; 25 when absent")
	flags.StringVar(&f.After, "after", "", "id of the last one of the page before")
	flags.BoolVar(&f.Ascending, "ascending", false, "the oldest first")
	flags.BoolVar(&count, "count", false, "print only how many there are")
	return cmd
}

// comparison reads FIELD, an operator and a value.
func comparison(s string) (c apitypes.Condition, err error) {
	end := strings.IndexFunc(s, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') })
	if end <= 0 || !slices.Contains(apitypes.TransactionFields(), strings.ToLower(s[:end])) {
		return c, fmt.Errorf("--where %q: begin with a field: %s", s, strings.Join(apitypes.TransactionFields(), ", "))
	}
	c.Field = strings.ToLower(s[:end])
	rest := s[end:]
	rest, c.Not = strings.CutPrefix(rest, "!")
	rest, c.Fold = strings.CutPrefix(rest, ":")
	for _, op := range []string{">=", "<=", ">", "<", "=", "@", "^", "$"} {
		if v, ok := strings.CutPrefix(rest, op); ok {
			c.Op, c.Value = op, v
			return c, nil
		}
	}
	return c, fmt.Errorf("--where %q: behind the field give =, !=, >, >=, <, <=, @, ^ or $ and a value", s)
}
