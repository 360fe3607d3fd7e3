package devledger

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/bits"
	"strconv"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// What gas is used for. The figures are those of EVM chains, so that limits copied from there are enough.
const (
	gasBase   = 21_000
	gasByte   = 16 // for each byte of id and argument
	gasDeploy = 32_000
	maxGas    = 30_000_000
)

// noBound is the balance of who needs none.
const noBound = math.MaxUint64

var (
	errOutOfGas = errors.New("out of gas")
	errNoFunds  = errors.New("insufficient funds for gas")
)

// rules are the part of the configuration that the outcome of a transaction depends on.
type rules struct {
	sequenced bool
	balance   uint64 // of each signer at the beginning; 0: nobody needs one
}

func (c Config) rules() rules { return rules{sequenced: c.Sequenced, balance: c.Balance} }

// terms are what a submission adds to a payload, on a sequenced ledger.
type terms struct {
	gas   uint64 // limit; 0: none
	price uint64 // offered for a unit of gas
}

// gas is what a call uses.
func (c call) gas() uint64 {
	n := gasBase + gasByte*uint64(len(c.id)+len(c.arg))
	if c.op == opDeploy {
		n += gasDeploy
	}
	return n
}

// cost is what gas costs, noBound if that is too much for a number.
func cost(gas, price uint64) uint64 {
	high, low := bits.Mul64(gas, price)
	if high > 0 {
		return noBound
	}
	return low
}

// settle says what is charged for the execution of a call to who has that much, and why it is not executed, if so.
func settle(c call, t terms, have uint64) (charge uint64, err error) {
	need := c.gas()
	if t.gas > 0 && t.gas < need {
		need, err = t.gas, errOutOfGas
	}
	if charge = cost(need, t.price); charge > have {
		return have, errNoFunds
	}
	return charge, err
}

// funds is what a signer has left, noBound where nobody needs any.
func (c *chain) funds(signer string) uint64 {
	if c.balance == 0 {
		return noBound
	}
	return c.balance - min(c.spent[signer], c.balance)
}

// parseGas reads a limit, 0 for none.
func parseGas(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n > maxGas {
		return 0, invalid("gas", "%q is not a number from 1 to %d", s, maxGas)
	}
	return n, nil
}

// parseFee reads what is offered for a unit of gas: a number, as such or in a string, or an object with gasPrice, or with maxFeePerGas and
// maxPriorityFeePerGas, of which the second changes nothing here. Nothing is 0.
func parseFee(raw json.RawMessage) (uint64, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, nil
	}
	if raw[0] != '{' {
		return parsePrice("fee", raw)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return 0, invalid("fee", "it is not valid JSON")
	}
	var price uint64
	for _, name := range sortedKeys(fields) {
		n, err := parsePrice("fee."+name, fields[name])
		switch {
		case err != nil:
			return 0, err
		case name == "gasPrice" || name == "maxFeePerGas":
			price = max(price, n)
		case name != "maxPriorityFeePerGas":
			return 0, invalid("fee."+name, "unknown field: a fee is a number, or has gasPrice, or maxFeePerGas and maxPriorityFeePerGas")
		}
	}
	return price, nil
}

func parsePrice(field string, raw json.RawMessage) (uint64, error) {
	text := string(raw)
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &text); err != nil {
			return 0, invalid(field, "it is not valid JSON")
		}
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, invalid(field, "%s is not a whole number from 0 on", raw)
	}
	return n, nil
}

// readTerms reads the terms of a submission.
func readTerms(sub *ffcapi.Submission) (t terms, err error) {
	if t.gas, err = parseGas(sub.Gas); err == nil {
		t.price, err = parseFee(sub.Fee)
	}
	return t, err
}

// reserve returns the gas limit of a call that is prepared: the one given, or what the call uses. Who cannot pay it is refused.
func (l *ledger) reserve(c call, given string) (string, error) {
	limit, err := parseGas(given)
	if err != nil {
		return "", err
	}
	if limit == 0 {
		limit = c.gas()
	}
	l.mu.RLock()
	have := l.chain.funds(c.from)
	l.mu.RUnlock()
	if most := cost(limit, l.gasPrice.Load()); most > have {
		return "", tooPoor(c.from, most, have)
	}
	return strconv.FormatUint(limit, 10), nil
}

func tooPoor(signer string, most, have uint64) *ffcapi.Error {
	return ffcapi.Errorf(ffcapi.InsufficientFunds, "insufficient funds: %s has %d, and the transaction may cost %d", signer, have, most)
}

// EstimateFee implements ffcapi.FeeEstimator: the least that a unit of gas costs now, a base-10 number in a string.
func (l *sequencedLedger) EstimateFee(ctx context.Context, name string) (json.RawMessage, error) {
	if err := l.enter(ctx, MethodEstimateFee, name); err != nil {
		return nil, err
	}
	return json.RawMessage(strconv.Quote(strconv.FormatUint(l.gasPrice.Load(), 10))), nil
}

// Balance implements ffcapi.Balancer. Where nobody needs a balance, everybody's is 0.
func (l *sequencedLedger) Balance(ctx context.Context, name, address, tag string) (string, error) {
	if err := l.enter(ctx, MethodBalance, name); err != nil {
		return "", err
	}
	if err := checkName("address", "the account", address); err != nil {
		return "", err
	}
	if tag != "" && tag != fromLatest {
		return "", ffcapi.Errorf(ffcapi.Unsupported, "blocktag: the dev ledger keeps the newest state only: leave it out")
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.chain.balance == 0 {
		return "0", nil
	}
	return strconv.FormatUint(l.chain.funds(address), 10), nil
}
