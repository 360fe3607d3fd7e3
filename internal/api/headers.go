package api

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// maxConfirmations is the most that a request may ask for, as it is for confirmations.required.
const maxConfirmations = 10_000

// headerNames are the members of headers. What is not among them would have no effect, so it is refused.
func headerNames() []string { return []string{"type", "id", "labels", "confirmations"} }

func (c *command) decodeHeaders(raw json.RawMessage) error {
	if raw[0] != '{' {
		return apitypes.Invalidf("headers", "give an object", "is %s", show(raw))
	}
	return eachMember(raw, func(m member) (err error) {
		switch m.name {
		case "type":
			c.kind, err = text("headers.type", m.value)
		case "id":
			c.id, err = text("headers.id", m.value)
		case "labels":
			c.labels, err = labels(m.value)
		case "confirmations":
			c.confirmations, err = confirmations(m.value)
		default:
			err = unknownField("headers", m.name, headerNames())
		}
		return err
	})
}

// labels decodes headers.labels. What a name or a value may be is the transaction manager's to say.
func labels(raw json.RawMessage) (map[string]string, error) {
	if isNull(raw) {
		return nil, nil //nolint:nilnil // null is none
	}
	if raw[0] != '{' {
		return nil, apitypes.Invalidf("headers.labels", `give an object of strings such as {"objectId":"invoice-7"}`, "is %s", show(raw))
	}
	list := make(map[string]string)
	err := eachMember(raw, func(m member) error {
		if len(m.value) == 0 || m.value[0] != '"' {
			return apitypes.Invalidf("headers.labels."+clip(m.name), "give a string", "is %s", show(m.value))
		}
		list[m.name] = unquote(m.value)
		return nil
	})
	return list, err
}

// confirmations decodes headers.confirmations.
func confirmations(raw json.RawMessage) (*int, error) {
	const field = "headers.confirmations"
	if isNull(raw) {
		return nil, nil //nolint:nilnil // null is none
	}
	n, err := strconv.Atoi(string(raw))
	if err != nil || n < 0 || n > maxConfirmations {
		return nil, apitypes.Invalidf(field, fmt.Sprintf("give a whole number from 0 to %d", maxConfirmations), "is %s", show(raw))
	}
	return &n, nil
}

// noTransaction refuses headers that only a transaction has.
func (c *command) noTransaction() error {
	switch {
	case c.labels != nil:
		return apitypes.Invalidf("headers.labels", "leave them out: only a transaction has labels", "are given with %s", c.kind)
	case c.confirmations != nil:
		return apitypes.Invalidf("headers.confirmations", "leave it out: only a transaction has confirmations", "is given with %s", c.kind)
	}
	return nil
}
