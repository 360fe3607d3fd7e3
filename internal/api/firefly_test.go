package api

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// The bodies are those that FireFly Core's ethereum plugin sends, and what is asked of the answers is what it reads of them.

const (
	coreStreamID = "3f2a8a5c-8a0e-4c55-9c7a-0f1d2e3c4b5a"
	coreSubID    = "7b0a6a52-2f4e-4a55-8f6e-6d1f6b2c1a90"
	coreStream   = `{"id":"","name":"0/default","errorHandling":"block","batchSize":50,"batchTimeoutMS":500,"type":"websocket","websocket":{"topic":"0/default"},"timestamps":true}`
	coreSub      = `{"id":"","name":"ff-sub-default-` + coreSubID + `","stream":"` + coreStreamID + `","fromBlock":"latest","address":"0x0123456789abcdef0123456789abcdef01234567",` +
		`"event":{"type":"event","name":"Changed","inputs":[{"name":"x","type":"uint256","internalType":"uint256"}]},"filters":null,` +
		`"checkpoint":{"block":0,"transactionIndex":0,"logIndex":0}}`
	coreMethod = `{"type":"function","name":"set","stateMutability":"nonpayable","inputs":[{"name":"x","type":"uint256"}],"outputs":[]}`
	coreInvoke = `{"errors":[{"type":"error","name":"Bad","inputs":[]}],"from":"0x2222","headers":{"id":"default:` + coreSubID + `","type":"SendTransaction"},"method":` +
		coreMethod + `,"params":["42"],"to":"0x0123456789abcdef0123456789abcdef01234567","gasLimit":"100000"}`
	coreVersion = `{"headers":{"type":"Query"},"method":{"type":"function","name":"networkVersion","stateMutability":"pure","inputs":[],"outputs":[{"name":"","type":"uint8"}]},"params":[],"to":"0x01"}`
	coreDeploy  = `{"contract":"0x6080","definition":[],"from":"0x2222","headers":{"id":"default:1","type":"DeployContract"},"params":[]}`
)

// coreStreams keeps one stream and one listener, as far as Core's start-up looks at them.
type coreStreams struct {
	fakeStreams
	stream   *apitypes.EventStream
	listener *apitypes.Listener
}

func (s *coreStreams) Streams(context.Context, int, string) ([]*apitypes.EventStreamWithStatus, error) {
	if s.stream == nil {
		return nil, nil
	}
	return []*apitypes.EventStreamWithStatus{{EventStream: *s.stream, Status: "started"}}, nil
}

func (s *coreStreams) CreateStream(_ context.Context, in *apitypes.EventStream) (*apitypes.EventStream, error) {
	in.ID = fftypes.MustParseUUID(coreStreamID)
	s.stream = in
	return in, nil
}

func (s *coreStreams) CreateListener(_ context.Context, stream string, in *apitypes.Listener) (*apitypes.Listener, error) {
	if stream != coreStreamID {
		return nil, store.ErrNotFound
	}
	in.ID = fftypes.MustParseUUID(coreSubID)
	s.listener = in
	return in, nil
}

func (s *coreStreams) Listener(_ context.Context, _, listener string) (*apitypes.ListenerWithStatus, error) {
	if s.listener == nil || listener != coreSubID {
		return nil, store.ErrNotFound
	}
	return &apitypes.ListenerWithStatus{Listener: *s.listener, Checkpoint: &apitypes.ListenerCheckpoint{Block: 7, TransactionIndex: 2, LogIndex: 1}, Catchup: true}, nil
}

func TestFireFlyCoreStartsUp(t *testing.T) {
	t.Parallel()
	g := newRig()
	streams := &coreStreams{}
	g.options.Streams = streams
	get := func(request, body string, status int) (answer map[string]any) {
		w := g.do(t, request, body)
		require.Equal(t, status, w.Code, "%s: %s", request, w.Body)
		if w.Body.Len() > 0 {
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		}
		return answer
	}

	require.JSONEq(t, `[]`, g.do(t, "GET /eventstreams", "").Body.String())
	created := get("POST /eventstreams", coreStream, http.StatusOK)
	require.Equal(t, coreStreamID, created["id"])
	require.Equal(t, "0/default", created["name"])
	require.InDelta(t, 50, created["batchSize"], 0, "Core decodes a number")
	require.Equal(t, uint64(500), *streams.stream.BatchTimeoutMS)

	var list []struct{ ID, Name string }
	require.NoError(t, json.Unmarshal(g.do(t, "GET /eventstreams", "").Body.Bytes(), &list))
	require.Equal(t, "0/default", list[0].Name)
	get("PATCH /eventstreams/"+list[0].ID, coreStream, http.StatusOK)

	get("GET /subscriptions/"+coreSubID, "", http.StatusNotFound)
	sub := get("POST /subscriptions", coreSub, http.StatusOK)
	require.Equal(t, coreSubID, sub["id"])
	require.Equal(t, "ff-sub-default-"+coreSubID, sub["name"])
	require.Equal(t, coreStreamID, sub["stream"])
	require.JSONEq(t, `"0x0123456789abcdef0123456789abcdef01234567"`, string(streams.listener.Address))
	require.JSONEq(t, `{"type":"event","name":"Changed","inputs":[{"name":"x","type":"uint256","internalType":"uint256"}]}`, string(streams.listener.Event))

	var status struct {
		Name       string
		Checkpoint struct{ Block, TransactionIndex, LogIndex int64 }
		Catchup    bool
	}
	require.NoError(t, json.Unmarshal(g.do(t, "GET /subscriptions/"+coreSubID, "").Body.Bytes(), &status))
	require.EqualValues(t, 7, status.Checkpoint.Block)
	require.EqualValues(t, 2, status.Checkpoint.TransactionIndex)
	require.EqualValues(t, 1, status.Checkpoint.LogIndex)
	require.True(t, status.Catchup)
	get("DELETE /subscriptions/"+coreSubID, "", http.StatusNoContent)
}

func TestFireFlyCoreInvokesAndQueries(t *testing.T) {
	t.Parallel()
	g := newRig()
	var sent *apitypes.Submission
	g.tx.submit = func(_ context.Context, s *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		sent = s
		return &apitypes.Transaction{ID: s.ID, Status: "Pending"}, false, nil
	}
	g.tx.query = func(_ context.Context, q *apitypes.ReadQuery) (json.RawMessage, error) {
		require.Empty(t, q.From)
		require.NotNil(t, q.Params)
		return json.RawMessage(`{"output":"2"}`), nil
	}
	w := g.do(t, "POST /", coreInvoke)
	require.Equal(t, http.StatusAccepted, w.Code)
	require.Equal(t, "default:"+coreSubID, sent.ID)
	require.JSONEq(t, coreMethod, string(sent.Method))
	require.Len(t, sent.Errors, 1)
	require.JSONEq(t, `{"gasLimit":"100000"}`, string(sent.Options), "an option of the caller's, beside the fields")

	w = g.do(t, "POST /", coreVersion)
	require.True(t, w.Code >= 200 && w.Code < 300)
	var version struct{ Output string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &version))
	require.Equal(t, "2", version.Output)

	var refused struct {
		Error              string
		SubmissionRejected bool
	}
	g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		return nil, false, ffcapi.Errorf(ffcapi.Unsupported, "no contracts can be deployed here")
	}
	w = g.do(t, "POST /", coreDeploy)
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &refused))
	require.True(t, refused.SubmissionRejected, "the operation ends, instead of waiting for ever")

	g.tx.submit = func(context.Context, *apitypes.Submission) (*apitypes.Transaction, bool, error) {
		return nil, false, ffcapi.Errorf(ffcapi.Reverted, "Bad()")
	}
	w = g.do(t, "POST /", coreInvoke)
	require.NotEqual(t, http.StatusConflict, w.Code, "Core takes 409 for accepted")
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &refused))
	require.True(t, refused.SubmissionRejected)
	require.Contains(t, refused.Error, "Bad()")
}

func TestFireFlyCoreAsksForATransaction(t *testing.T) {
	t.Parallel()
	g := newRig()
	require.Equal(t, http.StatusNotFound, g.do(t, "GET /transactions/default:"+coreSubID, "").Code)
	g.tx.transaction = func(_ context.Context, id string, _ bool) (*apitypes.TransactionWithStatus, error) {
		return &apitypes.TransactionWithStatus{
			Transaction: apitypes.Transaction{ID: id, Status: "Failed", TransactionHash: "0xab", ErrorMessage: "reverted"},
			Receipt:     &apitypes.Receipt{BlockNumber: fftypes.NewFFBigInt(7), TransactionIndex: fftypes.NewFFBigInt(1), ProtocolID: "000000000007/000001"},
		}, nil
	}
	var tx struct {
		ID, Status, TransactionHash, ErrorMessage string
		Receipt                                   struct{ ProtocolID, BlockNumber string }
	}
	require.NoError(t, json.Unmarshal(g.do(t, "GET /transactions/default:"+coreSubID, "").Body.Bytes(), &tx))
	require.Equal(t, "default:"+coreSubID, tx.ID)
	require.Equal(t, "Failed", tx.Status)
	require.Equal(t, "000000000007/000001", tx.Receipt.ProtocolID)
	require.Equal(t, "7", tx.Receipt.BlockNumber, "numbers of any size are strings")
	require.Equal(t, "0xab", tx.TransactionHash)
	require.Equal(t, "reverted", tx.ErrorMessage)
}
