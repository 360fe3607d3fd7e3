//go:build e2e && fabric

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
	"github.com/pyralis-io/pyralis/test/fabricnet"
	"github.com/pyralis-io/pyralis/test/internal/server"
)

// refusalCase is a request that cannot be carried out, and its answer.
type refusalCase struct {
	body   string // of a command, without headers
	status int
	code   string
	words  []string // that say what is wrong with which thing
}

// TestFabricRefusals posts what Fabric or its connector refuses. Each answer says so for good and names the thing, nothing is stored, and the id is free
// for the request put right.
func TestFabricRefusals(t *testing.T) {
	rig := newFabricRig(t, fabricnet.Options{})
	p := server.New(t, rig.env("PYRALIS_STORE_SQLITE_PATH="+t.TempDir()), "run")
	p.Start()
	c := client.New(p.URL)
	defer c.Close()
	for name, refused := range map[string]refusalCase{
		"ChaincodeError": {
			`"from":"user1","to":"ch1/assets","method":"fail","params":["out of stock, ask for \"blue\""]`,
			http.StatusUnprocessableEntity, "PY10203", []string{`out of stock, ask for "blue"`, "Org1MSP"},
		},
		"MissingAsset":     {`"from":"user1","to":"ch1/assets","method":"update","params":["ghost",1]`, http.StatusUnprocessableEntity, "PY10203", []string{"asset ghost not found"}},
		"UnknownFunction":  {`"from":"user1","to":"ch1/assets","method":"explode"`, http.StatusUnprocessableEntity, "PY10203", []string{"explode"}},
		"UnknownChannel":   {`"from":"user1","to":"elsewhere/assets","method":"list"`, http.StatusBadRequest, "PY10200", []string{"to", "elsewhere", "ch1"}},
		"UnknownChaincode": {`"from":"user1","to":"ch1/ghost","method":"list"`, http.StatusNotFound, "PY10202", []string{"ghost"}},
		"UnknownIdentity":  {`"from":"nobody","to":"ch1/assets","method":"list"`, http.StatusBadRequest, "PY10200", []string{"from", "nobody"}},
		"UnknownOption":    {`"from":"user1","to":"ch1/assets","method":"list","endorsingOrganisations":["Org1MSP"]`, http.StatusBadRequest, "PY10200", []string{"endorsingOrganisations", "endorsingOrganizations"}},
		"UnknownOrganisation": {
			`"from":"user1","to":"ch1/assets","method":"ping","endorsingOrganizations":["Org9MSP"]`, http.StatusServiceUnavailable, "PY10212", []string{"Org9MSP"},
		},
		"NoAddress":    {`"from":"user1","method":"list"`, http.StatusBadRequest, "PY10200", []string{"to"}},
		"NoMethod":     {`"from":"user1","to":"ch1/assets"`, http.StatusBadRequest, "PY10200", []string{"method"}},
		"ValueOfToken": {`"from":"user1","to":"ch1/assets","method":"list","value":"1"`, http.StatusBadRequest, "PY10200", []string{"value"}},
		"BadTransient": {`"from":"user1","to":"ch1/assets","method":"list","transient":["a"]`, http.StatusBadRequest, "PY10200", []string{"transient"}},
	} {
		t.Run(name, func(t *testing.T) {
			id := "refused-" + name
			body := `{"headers":{"type":"SendTransaction","id":"` + id + `"},` + refused.body + `}`
			for range 2 { // the second answer is not about the first
				var answer apitypes.SubmissionErrorBody
				status := send(t, p.URL+"/", body, &answer)
				t.Logf("%d %s", status, answer.Error)
				require.Equal(t, refused.status, status, answer.Error)
				require.True(t, strings.HasPrefix(answer.Error, refused.code), answer.Error)
				for _, word := range refused.words {
					require.Contains(t, answer.Error, word)
				}
				require.Equal(t, status < http.StatusInternalServerError, answer.SubmissionRejected)
			}
			_, err := c.Transaction(t.Context(), id, false)
			require.True(t, client.IsNotFound(err), "a refused request left a record: %v", err)
			persist(t, c, put(id, "put-right"))
			require.Equal(t, "Succeeded", ended(t, c, id).Status)
		})
	}
}

// TestFabricBadReads asks for what is not there.
func TestFabricBadReads(t *testing.T) {
	rig := newFabricRig(t, fabricnet.Options{})
	p := server.New(t, rig.env("PYRALIS_STORE_SQLITE_PATH="+t.TempDir()), "run")
	p.Start()
	c := client.New(p.URL)
	defer c.Close()
	name := "reads"
	_, err := c.CreateStream(t.Context(), &apitypes.EventStream{Name: &name})
	require.NoError(t, err)
	const listeners = "/eventstreams/reads/listeners"
	for name, bad := range map[string]struct {
		path, body string
		status     int
		code       string
		words      []string
	}{
		"QueryRefused":     {"/", `{"headers":{"type":"Query"},"to":"ch1/assets","method":"fail","params":["not today"]}`, 422, "PY10203", []string{"not today"}},
		"QueryNotFound":    {"/", `{"headers":{"type":"Query"},"to":"ch1/assets","method":"read","params":["ghost"]}`, 404, "PY10202", []string{"asset ghost not found"}},
		"QueryOfThePast":   {"/", `{"headers":{"type":"Query"},"to":"ch1/assets","method":"list","blockNumber":"3"}`, 400, "PY10200", []string{"blockNumber"}},
		"QueryChannel":     {"/", `{"headers":{"type":"Query"},"to":"elsewhere/assets","method":"list"}`, 400, "PY10200", []string{"to", "elsewhere"}},
		"ReceiptOfUnknown": {"/", `{"headers":{"type":"TransactionReceipt"},"transactionHash":"` + strings.Repeat("ab", 32) + `"}`, 404, "PY10202", []string{"abab"}},
		"ListenerChannel":  {listeners, `{"name":"l","filters":[{"channel":"elsewhere","chaincode":"assets","event":"E"}]}`, 400, "PY10200", []string{"filters[0].channel", "elsewhere"}},
		"ListenerRegex":    {listeners, `{"name":"l","filters":[{"channel":"ch1","chaincode":"assets","event":"/(/"}]}`, 400, "PY10200", []string{"filters[0].event", "("}},
		"ListenerField":    {listeners, `{"name":"l","filters":[{"channel":"ch1","chaincode":"assets","evnt":"E"}]}`, 400, "PY10200", []string{"evnt"}},
		"ListenerType":     {listeners, `{"name":"l","filters":[{"channel":"ch1","type":"blok"}]}`, 400, "PY10200", []string{"blok"}},
		"ListenerStart":    {listeners, `{"name":"l","fromBlock":"yesterday","filters":[{"channel":"ch1","chaincode":"assets","event":"E"}]}`, 400, "", []string{"fromBlock", "yesterday"}},
		"ListenerTxid":     {listeners, `{"name":"l","fromBlock":"txid:` + strings.Repeat("cd", 32) + `","filters":[{"channel":"ch1","chaincode":"assets","event":"E"}]}`, 400, "PY10200", []string{"fromBlock", "cdcdcd"}},
	} {
		t.Run(name, func(t *testing.T) {
			var answer apitypes.ErrorBody
			status := send(t, p.URL+bad.path, bad.body, &answer)
			t.Logf("%d %s", status, answer.Error)
			require.Equal(t, bad.status, status, answer.Error)
			require.True(t, strings.HasPrefix(answer.Error, bad.code), answer.Error)
			for _, word := range bad.words {
				require.Contains(t, answer.Error, word)
			}
		})
	}
	left, err := c.Listeners(t.Context(), "reads", 0, "")
	require.NoError(t, err)
	require.Empty(t, left, "a refused listener is there")
}

// send posts a body and decodes the answer, whatever its status.
func send(t *testing.T, url, body string, answer any) (status int) {
	t.Helper()
	status, raw := post(t, url, body)
	require.NoError(t, json.Unmarshal([]byte(raw), answer), "%s", raw)
	return status
}
