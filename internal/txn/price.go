package txn

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// checkPrice refuses what is below zero, in whatever form a chain takes a price: a number, as such or in a string, or an object of prices.
// It goes through it once, and converts no number: a client may write a long one.
func checkPrice(price json.RawMessage) error {
	if len(price) == 0 {
		return nil
	}
	c := priceCheck{json.NewDecoder(bytes.NewReader(price)), []string{"gasPrice"}}
	c.UseNumber()
	return c.value()
}

// priceCheck goes through a price.
type priceCheck struct {
	*json.Decoder
	path []string // of the value that comes next
}

func (c *priceCheck) value() error {
	token, err := c.Token()
	if err != nil {
		return apitypes.Invalidf("gasPrice", "give JSON", "is none: %s", err)
	}
	switch t := token.(type) {
	case json.Delim:
		return c.parts(t == '{')
	case json.Number:
		return c.amount(t.String())
	case string:
		return c.amount(t)
	default:
		return nil
	}
}

// parts checks what is in an object or an array.
func (c *priceCheck) parts(named bool) error {
	if len(c.path) > maxDepth {
		return apitypes.Invalidf("gasPrice", fmt.Sprintf("nest it at most %d levels deep", maxDepth), "is too deeply nested")
	}
	for i := 0; c.More(); i++ {
		name := strconv.Itoa(i)
		if named {
			token, err := c.Token()
			if err != nil {
				return apitypes.Invalidf("gasPrice", "give JSON", "is none: %s", err)
			}
			name = fmt.Sprint(token)
		}
		c.path = append(c.path, name)
		if err := c.value(); err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
	}
	_, err := c.Token()
	return err
}

func (c *priceCheck) amount(text string) error {
	if !negative(text) {
		return nil
	}
	return apitypes.Invalidf(strings.Join(c.path, "."), "must not be negative", "is %.100s", text)
}

// negative reports whether a text is a number below zero, decimal or hexadecimal.
func negative(text string) bool {
	text, minus := strings.CutPrefix(strings.TrimSpace(text), "-")
	if !minus || text == "" || !strings.Contains("0123456789.", text[:1]) {
		return false
	}
	if len(text) > 1 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') {
		return strings.ContainsAny(text[2:], "123456789abcdefABCDEF")
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		text = text[:i] // 0e9 is zero
	}
	return strings.ContainsAny(text, "123456789")
}

// terms are what an operator set for a request that is not in it.
type terms struct {
	GasPrice json.RawMessage `json:"gasPrice"`
}

// withPrice is a request as it is stored, with the price that it is to offer, for whoever sends it again. That is an array of the two: a
// client's request is an object, so whatever a client writes is not taken for a price that was set, and is in no option's way.
func withPrice(body, price json.RawMessage) (json.RawMessage, error) {
	if price == nil {
		return body, nil
	}
	return json.Marshal([]any{body, terms{price}})
}

// takePrice is a stored request as its client sent it, and the price that was set for it; nil if there is none.
func takePrice(stored json.RawMessage) (body, price json.RawMessage, err error) {
	if !bytes.HasPrefix(stored, []byte("[")) {
		return stored, nil, nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(stored, &parts); err != nil {
		return nil, nil, err
	}
	if len(parts) != 2 {
		return nil, nil, fmt.Errorf("an array of %d, want a request and its terms", len(parts))
	}
	var t terms
	if err := json.Unmarshal(parts[1], &t); err != nil {
		return nil, nil, fmt.Errorf("terms: %w", err)
	}
	return parts[0], t.GasPrice, nil
}
