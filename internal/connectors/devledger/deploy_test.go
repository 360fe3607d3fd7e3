package devledger_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/connectors/devledger"
)

func prepareDeploy(t *testing.T, c ffcapi.Connector, req *ffcapi.DeployRequest) (*ffcapi.Prepared, error) {
	t.Helper()
	d, ok := c.(ffcapi.Deployer)
	require.True(t, ok)
	return d.PrepareDeploy(t.Context(), req)
}

func deploy(t *testing.T, c ffcapi.Connector, name string) *ffcapi.Receipt {
	t.Helper()
	p, err := prepareDeploy(t, c, &ffcapi.DeployRequest{
		From: "ann", Contract: json.RawMessage(`"assets"`), Definition: json.RawMessage(`[ ]`), Params: []json.RawMessage{json.RawMessage(quote(name))},
	})
	require.NoError(t, err)
	s, err := c.Submit(t.Context(), submission(t, c, p, "ann"))
	require.NoError(t, err)
	return receipt(t, c, s.Hash)
}

func on(contract string, req *ffcapi.Request) *ffcapi.Request {
	req.To = contract
	return req
}

// A deployed contract has assets and events of its own, also after a restart.
func TestDeployedContract(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := open(t, devledger.DefaultConfig(), dir)
	_, err := c.Prepare(t.Context(), on("shop", request("ann", "create", `"x"`, `1`)))
	require.Equal(t, ffcapi.InvalidInput, ffcapi.KindOf(err))
	require.ErrorContains(t, err, `to: unknown contract "shop"`)
	r := deploy(t, c, "shop")
	require.True(t, r.Success)
	require.JSONEq(t, `{"address":"shop"}`, string(r.ContractLocation))
	require.JSONEq(t, `{"contract":"shop"}`, string(r.Extra))

	for _, req := range []*ffcapi.Request{
		request("ann", "create", `"x"`, `1`), on("shop", request("bob", "create", `"x"`, `2`)), on("shop", request("bob", "create", `"y"`, `3`)),
		on("shop", request("bob", "transfer", `"x"`, `"cid"`)), on("shop", request("bob", "delete", `"y"`)),
	} {
		require.True(t, receipt(t, c, send(t, c, req)).Success)
	}
	check := func() {
		t.Helper()
		for contract, want := range map[string]string{"assets": `[{"id":"x","value":1,"owner":"ann"}]`, "shop": `[{"id":"x","value":2,"owner":"cid"}]`} {
			out, err := c.Query(t.Context(), on(contract, request("", "list")))
			require.NoError(t, err)
			require.JSONEq(t, want, string(out), contract)
		}
		var got []string
		for _, ev := range read(t, c, `{"address":"shop"}`, 2) {
			require.Equal(t, "shop", ev.Address)
			got = append(got, ev.Name+" "+string(ev.Data))
		}
		require.Equal(t, []string{
			`AssetCreated {"id":"x","value":2,"owner":"bob"}`, `AssetCreated {"id":"y","value":3,"owner":"bob"}`,
			`AssetTransferred {"id":"x","from":"bob","to":"cid"}`, `AssetDeleted {"id":"y"}`,
		}, got)
		require.Len(t, read(t, c, `{}`, 9), 1, "without a name it is the first contract")
		require.Len(t, read(t, c, `{"contract":"shop","event":"AssetDeleted"}`, 9), 1)
		_, err := c.Query(t.Context(), on("shop", request("", "read", `"y"`)))
		require.EqualError(t, err, "query: asset y not found")
		_, err = prepareDeploy(t, c, &ffcapi.DeployRequest{
			From: "ann", Contract: json.RawMessage(`"assets"`), Params: []json.RawMessage{json.RawMessage(`"shop"`)},
		})
		require.Equal(t, ffcapi.Reverted, ffcapi.KindOf(err))
		require.ErrorContains(t, err, "contract shop already exists")
	}
	check()
	require.NoError(t, c.Close())
	c = open(t, devledger.DefaultConfig(), dir)
	check()
}

// A call whose contract a reorganisation took away fails.
func TestContractThatWentAway(t *testing.T) {
	t.Parallel()
	cfg := memory()
	cfg.Finality = ffcapi.Confirmations
	c := open(t, cfg, "")
	deploy(t, c, "shop")
	p, err := c.Prepare(t.Context(), on("shop", request("bob", "create", `"x"`, `2`)))
	require.NoError(t, err)
	depth := int(head(t, c).Number)
	require.NoError(t, c.Knobs().Reorganise(t.Context(), depth, func(string) bool { return true }))
	s, err := c.Submit(t.Context(), submission(t, c, p, "bob"))
	require.NoError(t, err)
	r := receipt(t, c, s.Hash)
	require.False(t, r.Success)
	require.Equal(t, "contract shop not found", r.Reason)
	require.Nil(t, r.ContractLocation)
}

func TestWrongDeployments(t *testing.T) {
	t.Parallel()
	c := open(t, memory(), "")
	good := func() *ffcapi.DeployRequest {
		return &ffcapi.DeployRequest{From: "ann", Contract: json.RawMessage(`"assets"`), Params: []json.RawMessage{json.RawMessage(`"shop"`)}}
	}
	for want, spoil := range map[string]func(*ffcapi.DeployRequest){
		"contract: unknown code":             func(r *ffcapi.DeployRequest) { r.Contract = json.RawMessage(`"0x6080"`) },
		"definition: it is not valid JSON":   func(r *ffcapi.DeployRequest) { r.Definition = json.RawMessage(`{`) },
		"params: a deployment takes 1":       func(r *ffcapi.DeployRequest) { r.Params = nil },
		"params[0]: name is not a string":    func(r *ffcapi.DeployRequest) { r.Params[0] = json.RawMessage(`7`) },
		"params[0]: name is empty":           func(r *ffcapi.DeployRequest) { r.Params[0] = json.RawMessage(`""`) },
		"value: the dev ledger has no token": func(r *ffcapi.DeployRequest) { r.Value = "7" },
		"gas: ":                              func(r *ffcapi.DeployRequest) { r.Gas = "x" },
	} {
		req := good()
		spoil(req)
		_, err := prepareDeploy(t, c, req)
		require.Equal(t, ffcapi.InvalidInput, ffcapi.KindOf(err), want)
		require.ErrorContains(t, err, "prepare: "+want)
	}
	req := good()
	req.Params[0] = json.RawMessage(`"assets"`)
	_, err := prepareDeploy(t, c, req)
	require.ErrorContains(t, err, "contract assets already exists")
}
