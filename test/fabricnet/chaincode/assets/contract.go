package assets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxList is the largest number of assets that list returns.
const MaxList = 1000

// Names of the events.
const (
	EventCreated     = "AssetCreated"
	EventUpdated     = "AssetUpdated"
	EventTransferred = "AssetTransferred"
	EventDeleted     = "AssetDeleted"
)

// NotFoundError says that there is no asset of an id.
type NotFoundError struct{ ID string }

// Error implements error.
func (e *NotFoundError) Error() string { return fmt.Sprintf("asset %s not found", e.ID) }

// State is what the contract needs of a ledger, within one call. Writes need not be visible to reads of the same call.
type State interface {
	// Get returns nil, nil for a key that does not exist.
	Get(key string) ([]byte, error)
	Put(key string, value []byte) error
	Delete(key string) error
	// GetPrivate and PutPrivate are Get and Put in a collection of private data.
	GetPrivate(collection, key string) ([]byte, error)
	PutPrivate(collection, key string, value []byte) error
	// Scan returns the values of the first limit keys in key order.
	Scan(limit int) ([][]byte, error)
	// Transient is what the client sends beside the arguments, and what no block holds.
	Transient() (map[string][]byte, error)
	// SetEvent sets the event of the call; a second one would replace it.
	SetEvent(name string, payload []byte) error
}

// Asset is one entry of the register, as stored and as returned by read and list.
type Asset struct {
	ID    string          `json:"id"`
	Value json.RawMessage `json:"value"`
	Owner string          `json:"owner"`
}

type transferred struct {
	ID   string `json:"id"`
	From string `json:"from"`
	To   string `json:"to"`
}

type deleted struct {
	ID string `json:"id"`
}

// call is one invocation.
type call struct {
	state  State
	caller string
	args   []string
}

// function describes one entry of the contract: the names of its arguments, and what it does.
type function struct {
	args []string
	run  func(call) (any, error)
}

func lookup(name string) (function, bool) {
	switch name {
	case "create":
		return function{[]string{"id", "value"}, create}, true
	case "update":
		return function{[]string{"id", "value"}, update}, true
	case "transfer":
		return function{[]string{"id", "owner"}, transfer}, true
	case "delete":
		return function{[]string{"id"}, remove}, true
	case "fail":
		return function{[]string{"message"}, fail}, true
	case "read":
		return function{[]string{"id"}, read}, true
	case "list":
		return function{nil, list}, true
	}
	return lookupPlain(name)
}

// Invoke runs one function for caller (the identity's short form) and returns its result as JSON, nil when it has none.
// An error means that the call is refused; the caller must then discard every write of the call.
func Invoke(state State, caller, name string, args []string) ([]byte, error) {
	f, ok := lookup(name)
	if !ok {
		return nil, fmt.Errorf("unknown function %q", name)
	}
	if len(args) != len(f.args) {
		return nil, fmt.Errorf("%s takes %d arguments (%s), not %d", name, len(f.args), strings.Join(f.args, ", "), len(args))
	}
	out, err := f.run(call{state, caller, args})
	if err != nil || out == nil {
		return nil, err
	}
	return encode(out)
}

func create(c call) (any, error) {
	id := c.args[0]
	if err := checkID(id); err != nil {
		return nil, err
	}
	old, err := c.state.Get(id)
	if err != nil {
		return nil, fmt.Errorf("asset %s: %w", id, err)
	}
	if old != nil {
		return nil, fmt.Errorf("asset %s already exists", id)
	}
	return c.store(EventCreated, &Asset{ID: id, Value: jsonValue(c.args[1]), Owner: c.caller})
}

func update(c call) (any, error) {
	a, err := c.load(c.args[0])
	if err != nil {
		return nil, err
	}
	a.Value = jsonValue(c.args[1])
	return c.store(EventUpdated, a)
}

func transfer(c call) (any, error) {
	a, err := c.load(c.args[0])
	if err != nil {
		return nil, err
	}
	to := c.args[1]
	if to == "" {
		return nil, errors.New("the new owner is empty")
	}
	ev := transferred{ID: a.ID, From: a.Owner, To: to}
	a.Owner = to
	if err := c.put(a); err != nil {
		return nil, err
	}
	return a, c.emit(EventTransferred, ev)
}

func remove(c call) (any, error) {
	a, err := c.load(c.args[0])
	if err != nil {
		return nil, err
	}
	if err := c.state.Delete(a.ID); err != nil {
		return nil, fmt.Errorf("asset %s: %w", a.ID, err)
	}
	return nil, c.emit(EventDeleted, deleted{ID: a.ID})
}

func fail(c call) (any, error) { return nil, errors.New(c.args[0]) }

func read(c call) (any, error) { return c.load(c.args[0]) }

func list(c call) (any, error) {
	values, err := c.state.Scan(MaxList)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	out := make([]json.RawMessage, len(values)) // never nil: an empty register is [], not null
	for i, v := range values {
		out[i] = jsonValue(string(v)) // put may have written anything
	}
	return out, nil
}

func (c call) load(id string) (*Asset, error) {
	if err := checkID(id); err != nil {
		return nil, err
	}
	b, err := c.state.Get(id)
	if err != nil {
		return nil, fmt.Errorf("asset %s: %w", id, err)
	}
	if b == nil {
		return nil, &NotFoundError{ID: id}
	}
	a := &Asset{}
	if err := json.Unmarshal(b, a); err != nil {
		return nil, fmt.Errorf("asset %s: %w", id, err)
	}
	return a, nil
}

func (c call) store(event string, a *Asset) (any, error) {
	if err := c.put(a); err != nil {
		return nil, err
	}
	return a, c.emit(event, a)
}

func (c call) put(a *Asset) error {
	b, err := encode(a)
	if err != nil {
		return fmt.Errorf("asset %s: %w", a.ID, err)
	}
	if err := c.state.Put(a.ID, b); err != nil {
		return fmt.Errorf("asset %s: %w", a.ID, err)
	}
	return nil
}

func (c call) emit(name string, payload any) error {
	b, err := encode(payload)
	if err != nil {
		return fmt.Errorf("event %s: %w", name, err)
	}
	if err := c.state.SetEvent(name, b); err != nil {
		return fmt.Errorf("event %s: %w", name, err)
	}
	return nil
}

// checkID refuses what Fabric cannot use as a plain key: the NUL byte begins a composite key, and keys are UTF-8.
func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("the asset id is empty")
	case !utf8.ValidString(id), strings.ContainsRune(id, 0):
		return fmt.Errorf("asset id %q is not plain UTF-8 text", id)
	}
	return nil
}

// jsonValue keeps JSON as it is and anything else as a JSON string.
func jsonValue(arg string) json.RawMessage {
	if json.Valid([]byte(arg)) {
		return json.RawMessage(arg)
	}
	b, err := encode(arg)
	if err != nil { // a string always encodes
		return json.RawMessage(`""`)
	}
	return b
}

// encode writes compact JSON without HTML escaping, so that a value is stored as it was sent but for white space.
func encode(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), nil
}
