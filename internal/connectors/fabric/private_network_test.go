//go:build fabric

package fabric_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/test/fabricnet"
)

// hashedWrites are the private writes of the first transaction of a block, as the ledger has them, by their collections.
func hashedWrites(t *testing.T, b *common.Block) map[string][]*kvrwset.KVWriteHash {
	t.Helper()
	decode := func(b []byte, m proto.Message) { require.NoError(t, proto.Unmarshal(b, m)) }
	var env common.Envelope
	var payload common.Payload
	var tx peer.Transaction
	var action peer.ChaincodeActionPayload
	var response peer.ProposalResponsePayload
	var cc peer.ChaincodeAction
	var set rwset.TxReadWriteSet
	decode(b.GetData().GetData()[0], &env)
	decode(env.GetPayload(), &payload)
	decode(payload.GetData(), &tx)
	decode(tx.GetActions()[0].GetPayload(), &action)
	decode(action.GetAction().GetProposalResponsePayload(), &response)
	decode(response.GetExtension(), &cc)
	decode(cc.GetResults(), &set)
	out := map[string][]*kvrwset.KVWriteHash{}
	for _, ns := range set.GetNsRwset() {
		for _, c := range ns.GetCollectionHashedRwset() {
			var hashed kvrwset.HashedRWSet
			decode(c.GetHashedRwset(), &hashed)
			out[c.GetCollectionName()] = append(out[c.GetCollectionName()], hashed.GetHashedWrites()...)
		}
	}
	return out
}

// TestFabricPrivateData writes into a collection of one organisation. The ledger has hashes of it, its members the data, and nothing of Pyralis shows either.
func TestFabricPrivateData(t *testing.T) {
	t.Parallel()
	n := startNetwork(t, fabricnet.Options{Orgs: 2})
	c, ctx := open(t, n), t.Context()
	const collection, key, secret = "_implicit_org_Org1MSP", "a private key", "tell-nobody-7d1f"
	req := request("user1", "putPrivate", quote(collection), quote(key), `"v"`)
	req.Options = json.RawMessage(`{"transient":{"v":"` + secret + `"},"endorsingOrganizations":["Org1MSP"]}`)
	sub := submission(t, c, req)
	require.True(t, sub.Prepared.Sensitive)
	hidden := func(where string, b []byte) {
		t.Helper()
		require.False(t, bytes.Contains(b, []byte(secret)), where)
	}
	hidden("the envelope", sub.Prepared.Payload)
	r := commit(t, c, sub)
	require.True(t, r.Success, "one organisation may write into its own collection: %s", r.Reason)
	shown, err := json.Marshal(r)
	require.NoError(t, err)
	hidden("the receipt", shown)

	// The data are where they belong, and the ledger has their hashes.
	req = request("user1", "readPrivate", quote(collection), quote(key))
	got, err := c.Query(ctx, req)
	require.NoError(t, err)
	require.JSONEq(t, quote(secret), string(got))
	said, err := n.Query(ctx, 2, "readPrivate", collection, key)
	require.Error(t, err, "another organisation has none: %s", said)
	path := filepath.Join(t.TempDir(), "block")
	_, err = n.Peer(ctx, 1, "channel", "fetch", strconv.FormatUint(r.Block.Number, 10), path, "-c", fabricnet.Channel)
	require.NoError(t, err)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	hidden("the block", raw)
	var b common.Block
	require.NoError(t, proto.Unmarshal(raw, &b))
	writes := hashedWrites(t, &b)[collection]
	require.Len(t, writes, 1)
	keyHash, valueHash := sha256.Sum256([]byte(key)), sha256.Sum256([]byte(secret))
	require.Equal(t, keyHash[:], writes[0].GetKeyHash())
	require.Equal(t, valueHash[:], writes[0].GetValueHash())

	// Fabric finds out by itself who may endorse it.
	req = request("user1", "putPrivate", quote(collection), `"other"`, `"v"`)
	req.Options = json.RawMessage(`{"transient":{"v":"` + secret + `"}}`)
	require.True(t, commit(t, c, submission(t, c, req)).Success)

	// A listener gets the transaction, with its arguments, and no write; one that is public it gets.
	put := submission(t, c, request("user1", "put", `"public"`, `"1"`))
	public := commit(t, c, put)
	require.True(t, public.Success)
	for kind, filter := range map[string]string{
		"event": `{"chaincode":"assets"}`, "transaction": `{"type":"transaction"}`, "write": `{"type":"write"}`, "block": `{"type":"block"}`,
	} {
		var of []ffcapi.Event
		for _, ev := range readAll(t, c, "", "earliest", public.Block, filter) {
			hidden(kind, ev.Data)
			hidden(kind, ev.Info)
			if ev.TxHash == sub.Prepared.Hash {
				of = append(of, ev)
			}
		}
		if kind != "transaction" {
			require.Empty(t, of, kind)
			continue
		}
		require.Len(t, of, 1)
		require.JSONEq(t, `{"chaincode":"assets","function":"putPrivate","validationCode":"VALID","signer":"Org1MSP/User1@org1.test","args":["`+
			collection+`","`+key+`","v"]}`, string(of[0].Data))
	}
	require.Len(t, readAll(t, c, "", "txid:"+put.Prepared.Hash, public.Block, `{"type":"write","chaincode":"assets"}`), 1)
}
