package fabric

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// What a filter can be for.
const (
	typeEvent       = "event" // of chaincodes; where a filter names no type
	typeTransaction = "transaction"
	typeWrite       = "write"
	typeBlock       = "block"
	typeConfig      = "config"
)

// filter is one filter of a listener, as it is stored. Event and Function are a name, an expression between slashes, or "" for all.
// The fields of event filters come first, and alone where the type is "": what is stored of them must stay what it is.
type filter struct {
	Channel   string   `json:"channel"`
	Chaincode string   `json:"chaincode"` // for writes the chaincode whose state it is; "" for all
	Event     string   `json:"event,omitempty"`
	Type      string   `json:"type,omitempty"` // "" for events
	Function  string   `json:"function,omitempty"`
	Codes     []string `json:"validationCode,omitempty"`
	KeyPrefix string   `json:"keyPrefix,omitempty"`
	IsDelete  *bool    `json:"isDelete,omitempty"`
}

// rawFilter is a filter as a user writes it. Event may be FireFly's description of an event, of which the name counts.
type rawFilter struct {
	Channel   string          `json:"channel"`
	Type      string          `json:"type"`
	Chaincode string          `json:"chaincode"`
	Event     json.RawMessage `json:"event"`
	Function  string          `json:"function"`
	Codes     json.RawMessage `json:"validationCode"`
	Namespace string          `json:"namespace"`
	KeyPrefix string          `json:"keyPrefix"`
	IsDelete  *bool           `json:"isDelete"`
}

// meaning lists the fields that a type of filter has, besides the channel.
var meaning = map[string][]string{
	typeEvent:       {"chaincode", "event"},
	typeTransaction: {"chaincode", "function", "validationCode"},
	typeWrite:       {"chaincode", "namespace", "keyPrefix", "isDelete"},
	typeBlock:       {},
	typeConfig:      {},
}

// parseFilter reads one filter. channel is meant where it names none.
func parseFilter(field string, raw json.RawMessage, channel string) (filter, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return filter{}, invalid(field, "it is empty")
	}
	var r rawFilter
	if err := strictJSON(field, raw, &r); err != nil {
		return filter{}, err
	}
	if r.Type == "" {
		r.Type = typeEvent
	}
	if err := r.check(field); err != nil {
		return filter{}, err
	}
	f := filter{
		Channel: r.Channel, Chaincode: r.Chaincode, Type: r.Type, Function: r.Function, KeyPrefix: r.KeyPrefix, IsDelete: r.IsDelete,
	}
	if f.Channel == "" {
		f.Channel = channel
	}
	if f.Type == typeEvent {
		f.Type = ""
	}
	if f.Chaincode == "" {
		f.Chaincode = r.Namespace
	}
	var err error
	if f.Event, err = eventName(field, r.Event); err != nil {
		return f, err
	}
	if f.Codes, err = validationCodeNames(field, r.Codes); err != nil {
		return f, err
	}
	for name, pattern := range map[string]string{"event": f.Event, "function": f.Function} {
		if _, err := nameMatcher(pattern); err != nil {
			return f, invalid(field+"."+name, "%s is no regular expression: %v", pattern, err)
		}
	}
	return f, nil
}

// check refuses fields that the type of filter does not have.
func (r *rawFilter) check(field string) error {
	known, ok := meaning[r.Type]
	if !ok {
		return invalid(field+".type", "%q is none of %q, %q, %q, %q and %q", r.Type, typeEvent, typeTransaction, typeWrite, typeBlock, typeConfig)
	}
	for _, given := range []struct {
		name string
		set  bool
	}{
		{"chaincode", r.Chaincode != ""},
		{"event", isSet(r.Event)},
		{"function", r.Function != ""},
		{"validationCode", isSet(r.Codes)},
		{"namespace", r.Namespace != ""},
		{"keyPrefix", r.KeyPrefix != ""},
		{"isDelete", r.IsDelete != nil},
	} {
		if given.set && !slices.Contains(known, given.name) {
			return invalid(field+"."+given.name, "a filter of type %q does not have it; it has %q", r.Type, append([]string{"channel"}, known...))
		}
	}
	switch {
	case r.Type == typeEvent && r.Chaincode == "":
		return invalid(field+".chaincode", "it must be set")
	case r.Namespace != "" && r.Chaincode != "" && r.Namespace != r.Chaincode:
		return invalid(field+".namespace", "%q and the chaincode %q are two names for the same thing: leave one out", r.Namespace, r.Chaincode)
	}
	return nil
}

func isSet(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

func eventName(field string, raw json.RawMessage) (string, error) {
	var name string
	if !isSet(raw) || json.Unmarshal(raw, &name) == nil {
		return name, nil
	}
	var described struct {
		Name string `json:"name"`
	}
	if err := json.Unmarshal(raw, &described); err != nil || described.Name == "" {
		return "", invalid(field+".event", `it is neither a name nor an object with a "name"`)
	}
	return described.Name, nil
}

// neverSeen are the verdicts that no call of a chaincode is delivered with, and why.
var neverSeen = map[peer.TxValidationCode]string{
	peer.TxValidationCode_DUPLICATE_TXID:             "a transaction that comes again is never delivered, it is not what became of its id",
	peer.TxValidationCode_NOT_VALIDATED:              "peers do not commit a block before they have validated all of it",
	peer.TxValidationCode_NIL_ENVELOPE:               "such an entry of a block has no transaction id",
	peer.TxValidationCode_BAD_PAYLOAD:                "such an entry of a block has no transaction id",
	peer.TxValidationCode_UNSUPPORTED_TX_PAYLOAD:     "such an entry of a block calls no chaincode",
	peer.TxValidationCode_UNKNOWN_TX_TYPE:            "such an entry of a block calls no chaincode",
	peer.TxValidationCode_INVALID_CONFIG_TRANSACTION: `it is for configurations, which filters of type "config" are for`,
}

// validationCodeNames reads the verdicts that a filter wants: one, or a list.
func validationCodeNames(field string, raw json.RawMessage) ([]string, error) {
	if !isSet(raw) {
		return nil, nil
	}
	var names []string
	var one string
	switch {
	case json.Unmarshal(raw, &one) == nil:
		names = []string{one}
	case json.Unmarshal(raw, &names) != nil || len(names) == 0:
		return nil, invalid(field+".validationCode", `it is neither a code, such as "MVCC_READ_CONFLICT", nor a list of them`)
	}
	for _, name := range names {
		code, ok := peer.TxValidationCode_value[name]
		if !ok {
			return nil, invalid(field+".validationCode", `%q is none that Fabric knows: e.g. "VALID", "MVCC_READ_CONFLICT", "ENDORSEMENT_POLICY_FAILURE"`, name)
		}
		if why := neverSeen[peer.TxValidationCode(code)]; why != "" {
			return nil, invalid(field+".validationCode", "nothing would ever match %s: %s. Leave it out", name, why)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// nameMatcher returns what decides about a name.
func nameMatcher(pattern string) (func(name string) bool, error) {
	switch {
	case pattern == "":
		return func(string) bool { return true }, nil
	case len(pattern) > 1 && strings.HasPrefix(pattern, "/") && strings.HasSuffix(pattern, "/"):
		re, err := regexp.Compile(pattern[1 : len(pattern)-1])
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	default:
		return func(name string) bool { return name == pattern }, nil
	}
}

// signature is the filter as people read it.
func (f filter) signature() string {
	all := func(name string) string {
		if name == "" {
			return "*"
		}
		return name
	}
	switch f.Type {
	case typeTransaction:
		return f.Type + ":" + all(f.Chaincode) + ":" + all(f.Function)
	case typeWrite:
		return f.Type + ":" + all(f.Chaincode) + ":" + f.KeyPrefix + "*"
	case typeBlock, typeConfig:
		return f.Type
	default:
		return f.Chaincode + ":" + all(f.Event)
	}
}

// text tells filters apart.
func (f filter) text() string {
	b, err := json.Marshal(f)
	if err != nil { // cannot be: there is nothing in it but text
		return f.signature()
	}
	return string(b)
}

func compareFilters(a, b filter) int {
	return slices.Compare([]string{a.Channel, a.Chaincode, a.Event, a.text()}, []string{b.Channel, b.Chaincode, b.Event, b.text()})
}

func sameFilter(a, b filter) bool { return a.text() == b.text() }
