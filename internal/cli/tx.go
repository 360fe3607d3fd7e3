package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

// txCommand is what the commands about transactions have in common.
type txCommand struct{ remote }

func newTx() *cobra.Command {
	t := &txCommand{}
	cmd := &cobra.Command{
		Use:   "tx",
		Short: "Submit, show and steer transactions",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	t.flags(cmd)
	cmd.AddCommand(
		t.submit(), t.get(), t.list(),
		t.steer("suspend", "Stop sending transactions; what is on its way may still end them", (*client.Client).SuspendTransaction),
		t.steer("resume", "Go on with suspended transactions", (*client.Client).ResumeTransaction),
		t.steer("cancel", "End transactions of which nothing was sent", (*client.Client).CancelTransaction),
		t.steer("retry", "Repeat failed transactions as new ones, and hurry those that are stuck",
			func(c *client.Client, ctx context.Context, id string) (*apitypes.Transaction, error) {
				tx, _, err := c.RetryTransaction(ctx, id, "")
				return tx, err
			}),
	)
	return cmd
}

func (t *txCommand) submit() *cobra.Command {
	var i client.Invocation
	var method string
	var params, labels, options []string
	var confirmations int
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "submit --from SIGNER --method METHOD [flags]",
		Short: "Submit a transaction",
		Long: "Submit a transaction. Once it is printed, the node has it on disk and brings it to an end. With --id it can be submitted again after an\n" +
			"error of the network: the same id is the same transaction.\n\n" +
			"With --wait, the exit status is 0 only if the transaction succeeds in that time.",
		Example: `  pyralis tx submit --from alice --to assets --method create --param car-1 --param '{"colour":"blue"}' --label objectId=car-1 --wait 30s`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if i.Labels, err = pairs("label", labels); err != nil {
				return err
			}
			if i.Options, err = chainOptions(options); err != nil {
				return err
			}
			if cmd.Flags().Changed("confirmations") {
				i.Confirmations = &confirmations
			}
			if method != "" {
				i.Method = value(method)
			}
			for _, p := range params {
				i.Params = append(i.Params, value(p))
			}
			return t.run(cmd, func(ctx context.Context, c *client.Client) (any, error) { return submitted(ctx, c, &i, wait) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&i.ID, "id", "", "id and idempotency key; made up when absent")
	f.StringVar(&i.From, "from", "", "the signer")
	f.StringVar(&i.To, "to", "", "the contract, as the chain names it")
	f.StringVar(&method, "method", "", "the method: JSON, or a name")
	f.StringArrayVar(&params, "param", nil, "a parameter of the method: JSON, or else a text; may be repeated")
	f.StringArrayVar(&labels, "label", nil, "NAME=VALUE to find the transaction by; may be repeated")
	f.StringArrayVar(&options, "option", nil, "NAME=VALUE for the chain, as JSON or text; may be repeated")
	f.IntVar(&confirmations, "confirmations", 0, "blocks that must follow its block; as the node has it when absent")
	f.DurationVar(&wait, "wait", 0, "how long to wait for its end")
	return cmd
}

func submitted(ctx context.Context, c *client.Client, i *client.Invocation, wait time.Duration) (any, error) {
	tx, _, err := c.Submit(ctx, i)
	if err != nil {
		return nil, err
	}
	if wait <= 0 {
		return tx, nil
	}
	end, err := c.Await(ctx, tx.ID, false, wait)
	if err != nil {
		return tx, fmt.Errorf("transaction %s was accepted, but what becomes of it cannot be told: %w", tx.ID, err)
	}
	switch end.Progress.Status {
	case apitypes.Completed:
		return end, nil
	case apitypes.NotDone:
		return end, fmt.Errorf("transaction %s failed: %s", tx.ID, end.Progress.Message)
	default:
		return end, fmt.Errorf("transaction %s is not final after %s; pyralis tx get %s --wait 30s waits on", tx.ID, wait, tx.ID)
	}
}

func (t *txCommand) get() *cobra.Command {
	var history bool
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "get ID",
		Short: "Show a transaction",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				tx, err := c.Await(ctx, args[0], history, wait)
				if err != nil {
					return nil, err
				}
				return tx, nil
			})
		},
	}
	cmd.Flags().BoolVar(&history, "history", false, "with all that happened to it")
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for its end; then it is shown as it is")
	return cmd
}

// steer makes a command that does one thing to each of the transactions that are named.
func (t *txCommand) steer(verb, about string, do func(*client.Client, context.Context, string) (*apitypes.Transaction, error)) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " ID...",
		Short: about,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.run(cmd, func(ctx context.Context, c *client.Client) (any, error) {
				return each(verb, args, func(id string) (*apitypes.Transaction, error) { return do(c, ctx, id) })
			})
		},
	}
}

// value is JSON, or else a text.
func value(s string) any {
	if json.Valid([]byte(s)) {
		return json.RawMessage(s)
	}
	return s
}

// pairs reads NAME=VALUE.
func pairs(flag string, given []string) (map[string]string, error) {
	if len(given) == 0 {
		return nil, nil //nolint:nilnil // none
	}
	all := make(map[string]string, len(given))
	for _, g := range given {
		name, v, ok := strings.Cut(g, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--%s %q: give NAME=VALUE", flag, g)
		}
		if _, twice := all[name]; twice {
			return nil, fmt.Errorf("--%s %q: %s is given twice", flag, g, name)
		}
		all[name] = v
	}
	return all, nil
}

func chainOptions(given []string) (map[string]any, error) {
	texts, err := pairs("option", given)
	options := make(map[string]any, len(texts))
	for name, v := range texts {
		options[name] = value(v)
	}
	return options, err
}
