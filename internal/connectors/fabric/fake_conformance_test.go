package fabric

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/ffcapi/ffcapitest"
)

func fakeRequest(signer, method string, params ...string) *ffcapi.Request {
	r := &ffcapi.Request{From: signer, To: "ch1/assets", Method: json.RawMessage(fmt.Sprintf("%q", method))}
	for _, p := range params {
		r.Params = append(r.Params, json.RawMessage(fmt.Sprintf("%q", p)))
	}
	return r
}

var fakeContract = ffcapitest.Contract{
	Create:  func(signer, id string) *ffcapi.Request { return fakeRequest(signer, "create", id, "1") },
	Refused: func(signer string) *ffcapi.Request { return fakeRequest(signer, "fail", "no") },
	Read:    func(_, id string) *ffcapi.Request { return fakeRequest("", "read", id) },
	Filter:  json.RawMessage(`{"chaincode":"assets","event":"AssetCreated"}`),
	Other:   json.RawMessage(`{"channel":"ch1","chaincode":"assets","event":"/^Asset[^C]/"}`),
	ID: func(ev *ffcapi.Event) string {
		var data struct{ ID string }
		if json.Unmarshal(ev.Data, &data) != nil {
			return ""
		}
		return data.ID
	},
}

// TestConformance runs the suite with the knobs that a real network does not have. The suite runs against one, too: see the tests behind the tag "fabric".
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, endorseAt := range []string{EndorseAtAccept, EndorseAtSubmit} {
		t.Run(endorseAt, func(t *testing.T) {
			t.Parallel()
			conformance(t, endorseAt)
		})
	}
}

func conformance(t *testing.T, endorseAt string) {
	t.Helper()
	ffcapitest.Run(t, func(t *testing.T) *ffcapitest.Fixture {
		t.Helper()
		f := newFakePeer(t)
		return &ffcapitest.Fixture{
			Connector:     connectTo(t, endorseAt, f),
			Ledger:        "ch1",
			Contract:      fakeContract,
			Signer:        func() string { return "user1" },
			Reopen:        func(t *testing.T) ffcapi.Connector { t.Helper(); return connectTo(t, endorseAt, f) },
			DuplicateNext: func(*testing.T) { f.set(func() { f.doubles++ }) },
			LoseAnswer:    func(*testing.T) { f.set(func() { f.lost++ }) },
			Lag:           func(_ *testing.T, blocks uint64) { f.set(func() { f.lag = int(blocks) }) },
			DropPool:      func(*testing.T) { f.set(func() { f.pool = nil }) },
			Pause: func(*testing.T) func() {
				f.set(func() { f.paused = true })
				return func() {
					f.set(func() {
						f.order(f.pool...)
						f.pool, f.paused = nil, false
					})
				}
			},
		}
	}, ffcapitest.Features{
		Isolated: true, Finality: ffcapi.Instant, OutcomesInBlocks: true, HashAtPrepare: true, Finishes: true,
		Simulates: endorseAt == EndorseAtAccept, SimulatesLate: endorseAt == EndorseAtSubmit,
	})
}
