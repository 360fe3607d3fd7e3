package simple

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/policy"
)

// Bump raises the fee of what is not taken up. Where a chain has no nonces it does nothing.
type Bump struct {
	Percent int    `json:"percent"` // of the fee before; 0: never
	Max     string `json:"max"`     // amount in base 10 that no part of a fee is raised above; needed with Percent
	After   int    `json:"after"`   // resubmissions for the same fee before each raise
}

// bump is a Bump that was checked.
type bump struct {
	percent *big.Int // nil: never
	most    *big.Int
	after   int
}

func newBump(c Bump) (bump, error) {
	if c.Percent <= 0 {
		return bump{}, nil
	}
	most, ok := new(big.Int).SetString(c.Max, 10)
	if !ok || most.Sign() <= 0 {
		return bump{}, fmt.Errorf("policies.simple.bump.max: %q must be a whole number above 0, since policies.simple.bump.percent is set", c.Max)
	}
	return bump{percent: big.NewInt(int64(c.Percent)), most: most, after: max(c.After, 0)}, nil
}

// fee is what to offer now for what was sent; nil: the same again. A transaction is stale when no block held it in time.
func (b *bump) fee(v policy.View, stale bool) json.RawMessage {
	if b.percent == nil || v.Tx.Nonce == nil {
		return nil
	}
	if underpriced(v) || stale && v.Tx.Sends > b.after {
		return b.raise(v.Tx.Fee, v.Fee)
	}
	return nil
}

func underpriced(v policy.View) bool {
	return v.LastError != nil && v.LastError.Kind == ffcapi.Underpriced
}

// raise makes a fee higher: a number, or an object whose numbers are raised each by itself, to what the market asks if that is more. nil:
// nothing in it can be raised.
func (b *bump) raise(fee, market json.RawMessage) json.RawMessage {
	var parts, asked map[string]json.RawMessage
	if json.Unmarshal(fee, &parts) != nil || parts == nil {
		return b.raiseAmount(fee, market)
	}
	if json.Unmarshal(market, &asked) != nil {
		asked = nil // of another form: it says nothing about this one
	}
	raised := false
	for name, part := range parts {
		if higher := b.raiseAmount(part, asked[name]); higher != nil {
			parts[name], raised = higher, true
		}
	}
	if !raised {
		return nil
	}
	raw, err := json.Marshal(parts)
	if err != nil {
		return nil // what was decoded always encodes
	}
	return raw
}

func (b *bump) raiseAmount(fee, market json.RawMessage) json.RawMessage {
	old, write := amount(fee)
	if old == nil || old.Cmp(b.most) >= 0 {
		return nil
	}
	// Rounded up, so that the least fee is raised, too.
	next := new(big.Int).Mul(old, b.percent)
	next.Add(next, big.NewInt(99)).Div(next, big.NewInt(100)).Add(next, old)
	if next.Cmp(old) == 0 {
		next.Add(next, big.NewInt(1))
	}
	if ask, _ := amount(market); ask != nil && ask.Cmp(next) > 0 {
		next = ask
	}
	if next.Cmp(b.most) > 0 {
		next = b.most
	}
	return write(next)
}

// amount reads a whole number that is not negative: digits, or a string of them that may begin with 0x. write puts another one in the
// same form. nil: it is none.
func amount(raw json.RawMessage) (n *big.Int, write func(*big.Int) json.RawMessage) {
	text, base := strings.TrimSpace(string(raw)), 10
	form := "%s"
	var s string
	if strings.HasPrefix(text, `"`) {
		if json.Unmarshal(raw, &s) != nil {
			return nil, nil
		}
		text, form = s, `"%s"`
	}
	if hex, ok := strings.CutPrefix(text, "0x"); ok {
		text, base, form = hex, 16, `"0x%s"`
	}
	n, ok := new(big.Int).SetString(text, base)
	if !ok || n.Sign() < 0 {
		return nil, nil
	}
	return n, func(n *big.Int) json.RawMessage { return fmt.Appendf(nil, form, n.Text(base)) }
}
