package devledger

import (
	"bytes"
	"container/heap"
	"encoding/json"
	"fmt"
	"slices"
)

const (
	assetsContract = "assets"
	maxList        = 1000 // assets that list returns
)

// op is a method of the contract that changes the ledger. The values are part of stored payloads.
type op byte

const (
	opNoop op = iota // uses a nonce up and does nothing else
	opCreate
	opUpdate
	opTransfer
	opDelete
	opFail
	opDeploy
)

// event is an event of the contract. The values are part of stored blocks.
type event byte

const (
	noEvent event = iota
	assetCreated
	assetUpdated
	assetTransferred
	assetDeleted
	eventCount
)

var eventNames = [eventCount]string{"", "AssetCreated", "AssetUpdated", "AssetTransferred", "AssetDeleted"}

// call is one invocation, as the payload of a transaction holds it.
type call struct {
	op   op
	from string
	id   string // key in the state: the id, or with the contract before it (see deploy.go)
	arg  []byte // create, update: the value as compact JSON; transfer: the new owner; fail: the message; deploy: the definition
}

// asset is an entry of the register.
type asset struct {
	owner string
	value []byte // compact JSON
}

// assetReader finds assets in a state.
type assetReader interface {
	asset(id string) (asset, bool)
}

// effect is what a call that succeeds does.
type effect struct {
	put    *asset // nil: nothing is stored
	del    bool
	event  event
	data   []byte // of the event
	result []byte // returned value, nil for none
}

// run executes a call against a state that it does not change. An error means that the contract refuses, in its own words.
func (c call) run(st assetReader) (effect, error) {
	switch c.op {
	case opNoop:
		return effect{}, nil
	case opFail:
		return effect{}, fmt.Errorf("%s", c.arg)
	case opDeploy:
		return c.deploy(st)
	default:
	}
	if contract := contractKey(c.id); contract != "" {
		if _, ok := st.asset(contract); !ok {
			return effect{}, fmt.Errorf("contract %s not found", contract[:len(contract)-1])
		}
	}
	a, exists := st.asset(c.id)
	if c.op == opCreate {
		if exists {
			return effect{}, fmt.Errorf("asset %s already exists", idOf(c.id))
		}
		return c.store(assetCreated, asset{owner: c.from, value: c.arg}), nil
	}
	if !exists {
		return effect{}, fmt.Errorf("asset %s not found", idOf(c.id))
	}
	switch c.op {
	case opUpdate:
		return c.store(assetUpdated, asset{owner: a.owner, value: c.arg}), nil
	case opTransfer:
		moved := asset{owner: string(c.arg), value: a.value}
		data := appendFields(nil, "id", idOf(c.id), "from", a.owner, "to", moved.owner)
		return effect{put: &moved, event: assetTransferred, data: data, result: moved.json(c.id)}, nil
	case opDelete:
		return effect{del: true, event: assetDeleted, data: appendFields(nil, "id", idOf(c.id))}, nil
	default:
		return effect{}, fmt.Errorf("unknown operation %d", c.op)
	}
}

func (c call) store(e event, a asset) effect {
	doc := a.json(c.id)
	return effect{put: &a, event: e, data: doc, result: doc}
}

// json is the asset as read, list and the events show it.
func (a asset) json(key string) []byte {
	id := idOf(key)
	b := make([]byte, 0, len(id)+len(a.value)+len(a.owner)+32)
	b = append(b, `{"id":`...)
	b = appendString(b, id)
	b = append(b, `,"value":`...)
	b = append(b, a.value...)
	b = append(b, `,"owner":`...)
	b = appendString(b, a.owner)
	return append(b, '}')
}

// appendFields appends an object of string fields, given as name, value, name, value.
func appendFields(b []byte, pairs ...string) []byte {
	for i := 0; i < len(pairs); i += 2 {
		b = append(b, "{,"[min(i, 1)])
		b = appendString(b, pairs[i])
		b = append(b, ':')
		b = appendString(b, pairs[i+1])
	}
	return append(b, '}')
}

// appendString appends s as a JSON string without HTML escapes: text comes back as it was sent.
func appendString(b []byte, s string) []byte {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= 0x20 && s[i] < 0x7f && s[i] != '"' && s[i] != '\\'
	}
	if plain {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil { // no string fails to encode
		return append(b, `""`...)
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte{'\n'})...)
}

// list returns the first assets of a contract in order of their ids, as a JSON array.
func list(assets map[string]asset, contract string) []byte {
	first := make(maxHeap, 0, min(len(assets), maxList))
	of := stateKey(contract, "")
	for id := range assets {
		switch {
		case contractKey(id) != of, id == of: // of another contract, or the contract itself
		case len(first) < maxList:
			heap.Push(&first, id)
		case id < first[0]:
			first[0] = id
			heap.Fix(&first, 0)
		}
	}
	slices.Sort(first)
	b := []byte{'['}
	for i, id := range first {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, assets[id].json(id)...)
	}
	return append(b, ']')
}

// maxHeap keeps the greatest id at index 0.
type maxHeap []string

func (h maxHeap) Len() int           { return len(h) }
func (h maxHeap) Less(i, j int) bool { return h[i] > h[j] }
func (h maxHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *maxHeap) Push(x any) {
	if id, ok := x.(string); ok { // list pushes nothing else
		*h = append(*h, id)
	}
}

// Pop implements heap.Interface.
func (h *maxHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
