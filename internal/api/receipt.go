package api

import (
	"encoding/json"
	"slices"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// take removes a member from those that are the chain's own options; nil if there is none. Of a repeated one the last counts.
func (c *command) take(name string) (value json.RawMessage) {
	c.rest = slices.DeleteFunc(c.rest, func(m member) bool {
		if m.name == name {
			value = m.value
		}
		return m.name == name
	})
	return value
}

// receiptFields are the fields of a TransactionReceipt command.
var receiptFields = []string{"headers", "transactionHash", "includeLogs", "eventFilters", "methods", "extractSigner", "ledger"} //nolint:gochecknoglobals // constant

// receiptQuery reads a TransactionReceipt command. It has no options of the chain's own.
func (c *command) receiptQuery() (*apitypes.ReceiptQuery, error) {
	d := decoding{}
	q := &apitypes.ReceiptQuery{
		TransactionHash: d.text("transactionHash", c.take("transactionHash")), Ledger: d.text("ledger", c.take("ledger")),
		IncludeLogs: d.flag("includeLogs", c.take("includeLogs")), ExtractSigner: d.flag("extractSigner", c.take("extractSigner")),
		EventFilters: d.list("eventFilters", c.take("eventFilters")), Methods: d.list("methods", c.take("methods")),
	}
	for _, other := range []struct {
		name  string
		value json.RawMessage
	}{
		{"from", c.from}, {"to", c.to}, {"nonce", c.nonce}, {"gas", c.gas}, {"value", c.value}, {"method", c.method}, {"params", c.params},
		{"errors", c.errors}, {"blockNumber", c.block},
	} {
		if other.value != nil {
			c.rest = append(c.rest, member{name: other.name})
		}
	}
	switch {
	case d.err != nil:
		return nil, d.err
	case len(c.rest) > 0:
		return nil, unknownField(apitypes.TransactionReceipt, c.rest[0].name, receiptFields)
	case q.TransactionHash == "":
		return nil, required("transactionHash", "give the hash of the transaction")
	}
	return q, nil
}

// flag decodes true or false; null is false.
func (d *decoding) flag(field string, raw json.RawMessage) bool {
	if !isNull(raw) && raw[0] != 't' && raw[0] != 'f' {
		d.keep(apitypes.Invalidf(field, "give true or false", "is %s", show(raw)))
	}
	return len(raw) > 0 && raw[0] == 't'
}
