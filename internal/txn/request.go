package txn

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"

	"github.com/aidarkhanov/nanoid"
	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// maxID is the longest id that a request may have, in bytes.
const maxID = 256

// request is a validated submission.
type request struct {
	id     string
	given  bool // the id came from the client
	kind   string
	call   order
	nonce  *uint64 // given by the client
	hash   [32]byte
	stored json.RawMessage // the body without headers.id

	labels   map[string]string
	required *int   // confirmations
	retryOf  string // the failed transaction that this one repeats
}

// validate checks a submission and takes it apart.
func (m *Manager) validate(sub *apitypes.Submission) (*request, error) {
	if err := m.checkKind(sub); err != nil {
		return nil, err
	}
	if err := checkID(sub.ID); err != nil {
		return nil, err
	}
	if sub.From == "" {
		return nil, apitypes.Invalidf("from", "give the signer of the transaction", "is missing")
	}
	if err := checkHeaders(sub); err != nil {
		return nil, err
	}
	r := &request{
		id: sub.ID, given: sub.ID != "", kind: cmp.Or(sub.Type, apitypes.SendTransaction),
		labels: maps.Clone(sub.Labels), required: sub.Confirmations,
	}
	var err error
	if r.nonce, err = m.nonceOf(sub.Nonce); err != nil {
		return nil, err
	}
	gas, err := amount("gas", sub.Gas)
	if err != nil {
		return nil, err
	}
	value, err := amount("value", sub.Value)
	if err != nil {
		return nil, err
	}
	r.call = newOrder(r.kind, &ffcapi.Request{
		From: sub.From, To: sub.To, Method: sub.Method, Params: sub.Params, Errors: sub.Errors, Value: value, Gas: gas, Options: sub.Options,
	}, sub.Definition, sub.Contract)
	raw := sub.Raw
	if len(raw) == 0 {
		if raw, err = bodyOf(sub); err != nil {
			return nil, err
		}
	}
	if err := r.digest(raw); err != nil {
		return nil, err
	}
	if !r.given {
		r.id = nanoid.New()
	}
	return r, nil
}

var errNoObject = errors.New("another JSON value")

// digest makes the body hash and the body to store.
func (r *request) digest(raw json.RawMessage) error {
	form, cut, err := canonical(make([]byte, 0, 2*len(raw)), raw)
	if err == nil && form[0] != '{' { // see withPrice
		err = errNoObject
	}
	if err != nil {
		return apitypes.Invalidf("", "send a JSON object", "the body is %s", err)
	}
	r.hash = sha256.Sum256(form)
	r.stored = raw
	if cut[1] > cut[0] {
		r.stored = append(append(make(json.RawMessage, 0, len(raw)), raw[:cut[0]]...), raw[cut[1]:]...)
	}
	return nil
}

func checkID(id string) error {
	if len(id) > maxID {
		return apitypes.Invalidf("headers.id", fmt.Sprintf("must have at most %d characters", maxID), "has %d", len(id))
	}
	for i := range len(id) {
		if id[i] < '!' || id[i] > '~' {
			return apitypes.Invalidf("headers.id", "use the printable ASCII characters from ! to ~", "holds %q", id[i:i+1])
		}
	}
	return nil
}

func (m *Manager) nonceOf(n *fftypes.FFBigInt) (*uint64, error) {
	if n == nil {
		return nil, nil //nolint:nilnil // absent is a value
	}
	if m.sequencer == nil {
		return nil, apitypes.Invalidf("nonce", "leave it out", "is given, but this chain has no nonces")
	}
	if !n.Int().IsUint64() {
		return nil, apitypes.Invalidf("nonce", "must be a whole number from 0 to 18446744073709551615", "is %s", n.Int())
	}
	v := n.Int().Uint64()
	return &v, nil
}

// amount is a number in base 10, "" for none.
func amount(field string, n *fftypes.FFBigInt) (string, error) {
	if n == nil {
		return "", nil
	}
	if n.Int().Sign() < 0 {
		return "", apitypes.Invalidf(field, "must not be negative", "is %s", n.Int())
	}
	return n.Int().String(), nil
}

// body is a request as it is sent to POST /.
type body struct {
	Headers *bodyHeaders `json:"headers,omitempty"`

	From   string            `json:"from"`
	To     string            `json:"to,omitempty"`
	Nonce  *fftypes.FFBigInt `json:"nonce,omitempty"`
	Gas    *fftypes.FFBigInt `json:"gas,omitempty"`
	Value  *fftypes.FFBigInt `json:"value,omitempty"`
	Method json.RawMessage   `json:"method,omitempty"`
	Params []json.RawMessage `json:"params,omitempty"`
	Errors []json.RawMessage `json:"errors,omitempty"`

	Definition json.RawMessage `json:"definition,omitempty"`
	Contract   json.RawMessage `json:"contract,omitempty"`
}

// bodyHeaders are the headers that tell one request from another.
type bodyHeaders struct {
	Labels        map[string]string `json:"labels,omitempty"`
	Confirmations *int              `json:"confirmations,omitempty"`
}

// members are the names of the members of a body that are not options.
var members = [...]string{"headers", "from", "to", "nonce", "gas", "value", "method", "params", "errors"}

// bodyOf makes a body for a submission that came without one.
func bodyOf(sub *apitypes.Submission) (json.RawMessage, error) {
	b := body{
		From: sub.From, To: sub.To, Nonce: sub.Nonce, Gas: sub.Gas, Value: sub.Value, Method: sub.Method, Params: sub.Params, Errors: sub.Errors,
		Definition: sub.Definition, Contract: sub.Contract,
	}
	if len(sub.Labels) > 0 || sub.Confirmations != nil {
		b.Headers = &bodyHeaders{Labels: sub.Labels, Confirmations: sub.Confirmations}
	}
	known, err := json.Marshal(b)
	if err != nil {
		return nil, apitypes.Invalidf("", "send JSON values", "the submission cannot be encoded: %s", err)
	}
	if len(sub.Options) == 0 {
		return known, nil
	}
	all := map[string]json.RawMessage{}
	for _, part := range []json.RawMessage{sub.Options, known} {
		if err := json.Unmarshal(part, &all); err != nil {
			return nil, apitypes.Invalidf("options", "must be a JSON object", "is %s", part)
		}
	}
	return json.Marshal(all)
}

// deployMembers are those that a deployment has, too. With other commands they are options.
var deployMembers = [...]string{"definition", "contract"}

// storedRequest reads the body of a command that was accepted, the way it was read then.
func storedRequest(kind string, raw json.RawMessage) (o order, err error) {
	raw, price, err := takePrice(raw)
	if err != nil {
		return o, err
	}
	rest := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &rest); err != nil {
		return o, err
	}
	r := &ffcapi.Request{Method: present(rest["method"])}
	var definition, contract json.RawMessage
	if kind == apitypes.DeployContract {
		definition, contract = present(rest["definition"]), present(rest["contract"])
		for _, name := range deployMembers {
			delete(rest, name)
		}
	}
	// Names are taken as they are written, which a struct would not do: "Value" is an option.
	for name, to := range map[string]any{"from": &r.From, "to": &r.To, "params": &r.Params, "errors": &r.Errors} {
		if raw, ok := rest[name]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return o, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if r.Gas, err = storedAmount(rest["gas"]); err != nil {
		return o, fmt.Errorf("gas: %w", err)
	}
	if r.Value, err = storedAmount(rest["value"]); err != nil {
		return o, fmt.Errorf("value: %w", err)
	}
	for _, name := range members {
		delete(rest, name)
	}
	if len(rest) > 0 {
		if r.Options, err = json.Marshal(rest); err != nil {
			return o, err
		}
	}
	o = newOrder(kind, r, definition, contract)
	o.fee = present(price)
	return o, nil
}

// present is raw, or nil if it is null.
func present(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// storedAmount reads a whole number of any size: digits, or a string of digits that may begin with 0x. FFBigInt would take a JSON
// number for a float.
func storedAmount(raw json.RawMessage) (string, error) {
	digits, base := string(raw), 10
	if len(raw) > 0 && raw[0] == '"' { // it may be written with escapes
		if err := json.Unmarshal(raw, &digits); err != nil {
			return "", err
		}
	}
	if digits == "" || digits == "null" {
		return "", nil
	}
	if hex, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hex, 16
	}
	n, ok := new(big.Int).SetString(digits, base)
	if !ok {
		return "", fmt.Errorf("%s is no whole number", raw)
	}
	return n.String(), nil
}

// bigint is a number in base 10 as it is shown; nil if there is none.
func bigint(s string) *fftypes.FFBigInt {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil
	}
	return (*fftypes.FFBigInt)(n)
}

func bigintOf(n uint64) *fftypes.FFBigInt { return (*fftypes.FFBigInt)(new(big.Int).SetUint64(n)) }
