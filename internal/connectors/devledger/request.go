package devledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
)

const (
	stagePrepare = "prepare"
	stageQuery   = "query"
	stageSubmit  = "submit"
)

// maxName bounds signers, owners and asset ids, in bytes.
const maxName = 1024

// methodSpec describes a method of the contract.
type methodSpec struct {
	op     op
	params []string
	query  bool // reads only
}

func lookupMethod(name string) (methodSpec, bool) {
	switch name {
	case "create":
		return methodSpec{op: opCreate, params: []string{"id", "value"}}, true
	case "update":
		return methodSpec{op: opUpdate, params: []string{"id", "value"}}, true
	case "transfer":
		return methodSpec{op: opTransfer, params: []string{"id", "owner"}}, true
	case "delete":
		return methodSpec{op: opDelete, params: []string{"id"}}, true
	case "fail":
		return methodSpec{op: opFail, params: []string{"message"}}, true
	case "read":
		return methodSpec{params: []string{"id"}, query: true}, true
	case "list":
		return methodSpec{query: true}, true
	default:
		return methodSpec{}, false
	}
}

const methodNames = "create, update, transfer, delete, fail; queries: read, list"

// invalid is a refusal that names the field.
func invalid(field, format string, args ...any) *ffcapi.Error {
	return ffcapi.Errorf(ffcapi.InvalidInput, "%s: %s", field, fmt.Sprintf(format, args...))
}

// parseRequest reads what Prepare and Query have in common: everything but the signer.
func (l *ledger) parseRequest(req *ffcapi.Request) (name string, spec methodSpec, c call, err error) {
	if req.To != assetsContract {
		if err := l.checkContract("to", req.To); err != nil {
			return "", spec, c, err
		}
	}
	if name, err = methodName(req.Method); err != nil {
		return "", spec, c, err
	}
	spec, ok := lookupMethod(name)
	if !ok {
		return "", spec, c, invalid("method", "unknown method %q: the contract has %s", name, methodNames)
	}
	if err := noToken(req.Value); err != nil {
		return "", spec, c, err
	}
	if err := noFields("options", req.Options); err != nil {
		return "", spec, c, err
	}
	c.op, c.from = spec.op, req.From
	err = c.readParams(name, spec, req.Params)
	c.id = stateKey(req.To, c.id)
	return name, spec, c, err
}

func noToken(value string) error {
	if strings.Trim(value, "0") != "" {
		return invalid("value", "the dev ledger has no token to transfer: leave it out")
	}
	return nil
}

// checkContract refuses a contract that is not there.
func (l *ledger) checkContract(field, name string) error {
	if name == "" || strings.IndexByte(name, contractMark) >= 0 || !l.knows(name) {
		return invalid(field, "unknown contract %q: the dev ledger has %q, and what was deployed", name, assetsContract)
	}
	return nil
}

// methodName reads a JSON string, or the name of an object: an ABI or FFI entry has more fields, which mean nothing here.
func methodName(raw json.RawMessage) (string, error) {
	var name string
	if len(raw) == 0 {
		return "", invalid("method", "it is missing: the contract has %s", methodNames)
	}
	if json.Unmarshal(raw, &name) == nil && raw[0] != 'n' {
		return name, nil
	}
	var entry struct {
		Name *string `json:"name"`
	}
	if err := json.Unmarshal(raw, &entry); err != nil || entry.Name == nil {
		return "", invalid("method", `it is neither a string nor an object with a string "name"`)
	}
	return *entry.Name, nil
}

// noFields refuses an object with fields.
func noFields(field string, raw json.RawMessage) error {
	if len(raw) == 0 {
		return nil
	}
	var obj map[string]json.RawMessage
	if err := json.Unmarshal(raw, &obj); err != nil {
		return invalid(field, "it is not a JSON object")
	}
	if len(obj) > 0 {
		return invalid(field, "unknown field %q: the dev ledger has no options", sortedKeys(obj)[0])
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (c *call) readParams(name string, spec methodSpec, params []json.RawMessage) error {
	if len(params) != len(spec.params) {
		return invalid("params", "%s takes %d (%s), not %d", name, len(spec.params), strings.Join(spec.params, ", "), len(params))
	}
	for i, param := range spec.params {
		field := fmt.Sprintf("params[%d]", i)
		if param == "value" {
			var compact bytes.Buffer
			if err := json.Compact(&compact, params[i]); err != nil {
				return invalid(field, "%s is not valid JSON", param)
			}
			c.arg = compact.Bytes()
			continue
		}
		var s string
		if err := json.Unmarshal(params[i], &s); err != nil || params[i][0] == 'n' {
			return invalid(field, "%s is not a string", param)
		}
		if param == "message" {
			c.arg = []byte(s)
			continue
		}
		if err := checkName(field, param, s); err != nil {
			return err
		}
		if param == "id" {
			c.id = s
		} else {
			c.arg = []byte(s)
		}
	}
	return nil
}

func checkName(field, what, s string) error {
	switch {
	case s == "":
		return invalid(field, "%s is empty", what)
	case len(s) > maxName:
		return invalid(field, "%s has %d bytes, more than %d", what, len(s), maxName)
	case strings.ContainsRune(s, 0):
		return invalid(field, "%s has a NUL character", what)
	default:
		return nil
	}
}

func checkSigner(from string) error {
	if from == "" {
		return invalid("from", "it is missing: name the signer, any text will do")
	}
	return checkName("from", "the signer", from)
}
