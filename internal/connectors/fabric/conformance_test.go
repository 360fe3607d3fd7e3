//go:build fabric

package fabric_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/ffcapi/ffcapitest"
	"github.com/pyralis-io/pyralis/internal/connectors/fabric"
	"github.com/pyralis-io/pyralis/test/fabricnet"
)

const assetsOnCh1 = fabricnet.Channel + "/" + fabricnet.Chaincode

// request calls the assets contract.
func request(signer, method string, params ...string) *ffcapi.Request {
	r := &ffcapi.Request{From: signer, To: assetsOnCh1, Method: json.RawMessage(fmt.Sprintf("%q", method))}
	for _, p := range params {
		r.Params = append(r.Params, json.RawMessage(p))
	}
	return r
}

func quote(s string) string { return fmt.Sprintf("%q", s) }

var assets = ffcapitest.Contract{
	Create: func(signer, id string) *ffcapi.Request {
		return request(signer, "create", quote(id), `{"color":"blue"}`)
	},
	Refused: func(signer string) *ffcapi.Request { return request(signer, "fail", `"no"`) },
	Read:    func(_, id string) *ffcapi.Request { return request("", "read", quote(id)) },
	Filter:  json.RawMessage(`{"channel":"ch1","chaincode":"assets","event":"AssetCreated"}`),
	Other:   json.RawMessage(`{"channel":"ch1","chaincode":"assets","event":"AssetDeleted"}`),
	ID: func(ev *ffcapi.Event) string {
		var data struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(ev.Data, &data); err != nil {
			return ""
		}
		return data.ID
	},
}

// startNetwork runs a network for the duration of a test.
func startNetwork(t *testing.T, o fabricnet.Options) *fabricnet.Network {
	t.Helper()
	o.Dir, o.Log = t.TempDir(), t.Logf
	n, err := fabricnet.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Stop()) })
	require.NoError(t, n.Start(t.Context()))
	return n
}

func open(t *testing.T, n *fabricnet.Network) *fabric.Connector {
	t.Helper()
	c, err := fabric.New(t.Context(), fabric.Config{
		Profile: n.Profile(), MSPID: "Org1MSP", Channels: []string{fabricnet.Channel}, Wallet: n.Wallet(), Identity: "user1",
	}, fabric.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func TestFabricConformance(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		orgs      int
		endorseAt string
	}{{1, fabric.EndorseAtAccept}, {2, fabric.EndorseAtAccept}, {2, fabric.EndorseAtSubmit}} {
		t.Run(fmt.Sprintf("%d organisations, endorsed at %s", v.orgs, v.endorseAt), func(t *testing.T) {
			t.Parallel()
			n := startNetwork(t, fabricnet.Options{Orgs: v.orgs, BatchTimeout: 50 * time.Millisecond})
			connect := func(t *testing.T) *fabric.Connector {
				t.Helper()
				return openWith(t, n, func(c *fabric.Config) { c.EndorseAt = v.endorseAt })
			}
			ffcapitest.Run(t, func(t *testing.T) *ffcapitest.Fixture {
				t.Helper()
				return &ffcapitest.Fixture{
					Connector: connect(t),
					Ledger:    fabricnet.Channel,
					Contract:  assets,
					Signer:    func() string { return "user1" },
					Reopen:    func(t *testing.T) ffcapi.Connector { t.Helper(); return connect(t) },
				}
			}, ffcapitest.Features{
				Finality: ffcapi.Instant, OutcomesInBlocks: true, HashAtPrepare: true, Finishes: true,
				Simulates: v.endorseAt == fabric.EndorseAtAccept, SimulatesLate: v.endorseAt == fabric.EndorseAtSubmit,
			})
		})
	}
}
