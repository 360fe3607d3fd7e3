package assets

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// lookupPlain finds the functions that know nothing of assets, only of keys: they give tests what a register of assets does not.
func lookupPlain(name string) (function, bool) {
	switch name {
	case "put":
		return function{[]string{"key", "value"}, put}, true
	case "del":
		return function{[]string{"key"}, del}, true
	case "putMany":
		return function{[]string{"changes"}, putMany}, true
	case "putTransient":
		return function{[]string{"key", "name"}, putTransient}, true
	case "putPrivate":
		return function{[]string{"collection", "key", "name"}, putPrivate}, true
	case "readPrivate":
		return function{[]string{"collection", "key"}, readPrivate}, true
	case "incr":
		return function{[]string{"key"}, incr}, true
	case "incrPrivate":
		return function{[]string{"collection", "key"}, incrPrivate}, true
	case "tally":
		return function{[]string{"key"}, tally}, true
	case "event":
		return function{[]string{"name", "payload"}, event}, true
	case "sleep":
		return function{[]string{"milliseconds"}, sleep}, true
	case "garble":
		return function{nil, garble}, true
	case "panic":
		return function{nil, crash}, true
	case "ping":
		return function{nil, ping}, true
	}
	return function{}, false
}

func put(c call) (any, error) { return nil, c.change(Change{Key: c.args[0], Value: c.args[1]}) }

func del(c call) (any, error) { return nil, c.change(Change{Key: c.args[0], Delete: true}) }

// Change is one write of putMany.
type Change struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Delete bool   `json:"delete,omitempty"`
}

func putMany(c call) (any, error) {
	var changes []Change
	if err := json.Unmarshal([]byte(c.args[0]), &changes); err != nil {
		return nil, fmt.Errorf("changes: %w", err)
	}
	for _, ch := range changes { // all of them, before the first write
		if err := checkID(ch.Key); err != nil {
			return nil, err
		}
	}
	for _, ch := range changes {
		if err := c.change(ch); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (c call) change(ch Change) error {
	if err := checkID(ch.Key); err != nil {
		return err
	}
	write := func() error { return c.state.Put(ch.Key, []byte(ch.Value)) }
	if ch.Delete {
		write = func() error { return c.state.Delete(ch.Key) }
	}
	if err := write(); err != nil {
		return fmt.Errorf("key %s: %w", ch.Key, err)
	}
	return nil
}

// transient is a value that the client sent beside the arguments.
func (c call) transient(name string) ([]byte, error) {
	all, err := c.state.Transient()
	if err != nil {
		return nil, fmt.Errorf("transient data: %w", err)
	}
	v, ok := all[name]
	if !ok {
		return nil, fmt.Errorf("there is no transient value %q", name)
	}
	return v, nil
}

// putPrivate writes a transient value into a collection, so that the ledger has only hashes of it.
func putPrivate(c call) (any, error) {
	collection, key := c.args[0], c.args[1]
	if err := checkID(key); err != nil {
		return nil, err
	}
	v, err := c.transient(c.args[2])
	if err != nil {
		return nil, err
	}
	if err := c.state.PutPrivate(collection, key, v); err != nil {
		return nil, fmt.Errorf("key %s of %s: %w", key, collection, err)
	}
	return nil, nil
}

func readPrivate(c call) (any, error) {
	collection, key := c.args[0], c.args[1]
	v, err := c.state.GetPrivate(collection, key)
	switch {
	case err != nil:
		return nil, fmt.Errorf("key %s of %s: %w", key, collection, err)
	case v == nil:
		return nil, &NotFoundError{ID: key}
	}
	return jsonValue(string(v)), nil
}

// putTransient proves that transient data arrived, without telling what it was.
func putTransient(c call) (any, error) {
	v, err := c.transient(c.args[1])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(v)
	return nil, c.change(Change{Key: c.args[0], Value: hex.EncodeToString(sum[:])})
}

// incr reads what it writes: two at once conflict.
func incr(c call) (any, error) {
	key := c.args[0]
	if err := checkID(key); err != nil {
		return nil, err
	}
	b, err := c.state.Get(key)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", key, err)
	}
	n, err := successor(key, b)
	if err != nil {
		return nil, err
	}
	return n, c.change(Change{Key: key, Value: strconv.FormatInt(n, 10)})
}

// successor counts on from what a key holds.
func successor(key string, b []byte) (int64, error) {
	if b == nil {
		return 1, nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || n == math.MaxInt64 {
		return 0, fmt.Errorf("key %s holds %q, which is no number to count on from", key, b)
	}
	return n + 1, nil
}

// incrPrivate is incr of private data: the ledger has hashes only.
func incrPrivate(c call) (any, error) {
	collection, key := c.args[0], c.args[1]
	if err := checkID(key); err != nil {
		return nil, err
	}
	b, err := c.state.GetPrivate(collection, key)
	if err != nil {
		return nil, fmt.Errorf("private key %s: %w", key, err)
	}
	n, err := successor(key, b)
	if err != nil {
		return nil, err
	}
	if err := c.state.PutPrivate(collection, key, []byte(strconv.FormatInt(n, 10))); err != nil {
		return nil, fmt.Errorf("private key %s: %w", key, err)
	}
	return n, nil
}

// tally writes how many keys there are: a key that is made or changed meanwhile conflicts, though nobody knew it before.
func tally(c call) (any, error) {
	values, err := c.state.Scan(MaxList)
	if err != nil {
		return nil, fmt.Errorf("tally: %w", err)
	}
	return len(values), c.change(Change{Key: c.args[0], Value: strconv.Itoa(len(values))})
}

// event emits the payload as it is, be it JSON or not.
func event(c call) (any, error) {
	if c.args[0] == "" {
		return nil, errors.New("the event name is empty")
	}
	if err := c.state.SetEvent(c.args[0], []byte(c.args[1])); err != nil {
		return nil, fmt.Errorf("event %s: %w", c.args[0], err)
	}
	return nil, nil
}

// maxSleep is more than a peer waits for a chaincode.
const maxSleep = 2 * time.Minute

func sleep(c call) (any, error) {
	ms, err := strconv.ParseInt(c.args[0], 10, 64)
	if err != nil || ms < 0 || ms > maxSleep.Milliseconds() {
		return nil, fmt.Errorf("milliseconds is %q, want a number up to %d", c.args[0], maxSleep.Milliseconds())
	}
	<-time.After(time.Duration(ms) * time.Millisecond) // a chaincode is not told when the client leaves
	return nil, nil
}

// garble refuses in words that no message to the peer can hold, so that the call itself has failed and has no response: so it is with every
// refusal of a chaincode in JavaScript.
func garble(call) (any, error) { return nil, errors.New("\xff") }

// crash ends the chaincode, as a bug in it would.
func crash(call) (any, error) { panic("on purpose") }

func ping(call) (any, error) { return nil, nil }
