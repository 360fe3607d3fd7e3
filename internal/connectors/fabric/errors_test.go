package fabric

import (
	"context"
	"errors"
	"testing"

	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// grpcError makes the error of a gateway call, with what each of two peers said.
func grpcError(t *testing.T, code codes.Code, text string, said ...string) error {
	t.Helper()
	st := status.New(code, text)
	for i, s := range said {
		var err error
		st, err = st.WithDetails(&gateway.ErrorDetail{Address: []string{"a:1", "b:2"}[i], MspId: []string{"Org1MSP", "Org2MSP"}[i], Message: s})
		require.NoError(t, err)
	}
	return st.Err()
}

func TestCallErrors(t *testing.T) {
	t.Parallel()
	const collected = "failed to endorse transaction, see attached details for more info"
	for _, c := range []struct {
		stage string
		err   error
		kind  ffcapi.Kind
		sent  ffcapi.Sent
		text  string // of the message, where it is not that of the error
	}{
		{stageEndorse, grpcError(t, codes.Aborted, collected, "chaincode response 500, asset a\nalready exists"), ffcapi.Reverted, "", "asset a\nalready exists"},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "chaincode response 404, gone"), ffcapi.Reverted, "", "gone"},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "error in simulation: failed to execute transaction x: could not launch chaincode"), ffcapi.Unavailable, "", ""},
		{stageEndorse, grpcError(t, codes.Aborted, "failed to collect enough transaction endorsements", "ok", "ProposalResponsePayloads do not match"), ffcapi.Unavailable, "", ""},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "error validating proposal: access denied: channel [ch1] creator org [Org2MSP]"), ffcapi.Unauthorized, "", ""},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "duplicate transaction found [1]. Creator [2]"), ffcapi.KnownTransaction, "", ""},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "make sure the chaincode ghost has been successfully defined on channel ch1 and try again"), ffcapi.NotFound, "", ""},
		{stageEndorse, grpcError(t, codes.FailedPrecondition, "no combination of peers can be derived which satisfy the endorsement policy"), ffcapi.Unavailable, "", ""},
		{stageEndorse, grpcError(t, codes.Unavailable, "too many requests for /gateway.Gateway, exceeding concurrency limit (500)"), ffcapi.RateLimited, "", ""},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "error in simulation: failed to execute transaction x: invalid invocation: chaincode 'a' has not been initialized for this version, must call as init first"), ffcapi.InvalidInput, "", ""},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "error in simulation: failed to execute transaction x: error sending: timeout expired while executing transaction"), ffcapi.Timeout, "", ""},
		{stageEndorse, grpcError(t, codes.DeadlineExceeded, "endorsement timeout expired while collecting endorsements"), ffcapi.Timeout, "", ""},
		{stageEndorse, errors.New("no status at all"), ffcapi.Unavailable, "", ""},
		{stageEvaluate, grpcError(t, codes.Unknown, "evaluate call to endorser returned error: chaincode response 404, gone", "chaincode response 404, gone"), ffcapi.NotFound, "", "gone"},
		{stageEvaluate, grpcError(t, codes.Unknown, "evaluate call to endorser returned error: chaincode response 500, no", "chaincode response 500, no"), ffcapi.Reverted, "", "no"},
		// A chaincode in JavaScript, or one that throws, fails the call itself.
		{stageEndorse, grpcError(t, codes.Aborted, collected, "error in simulation: transaction returned with failure: Error: asset a\nalready exists"), ffcapi.Reverted, "", "Error: asset a\nalready exists"},
		{stageEvaluate, grpcError(t, codes.Aborted, "failed to evaluate transaction, see attached details for more info", "error in simulation: transaction returned with failure: Error: no"), ffcapi.Reverted, "", "Error: no"},
		// The words of a chaincode are not those of a peer, whatever they are.
		{stageEndorse, grpcError(t, codes.Aborted, collected, "chaincode response 500, duplicate transaction found: invoice 7"), ffcapi.Reverted, "", "duplicate transaction found: invoice 7"},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "chaincode response 500, orders exceeding concurrency limit"), ffcapi.Reverted, "", ""},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "chaincode response 500, timeout expired while executing transaction"), ffcapi.Reverted, "", ""},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "error in simulation: transaction returned with failure: Error: access denied"), ffcapi.Reverted, "", "Error: access denied"},
		{stageEndorse, grpcError(t, codes.Aborted, collected, "chaincode response 500, asset a already exists", "duplicate transaction found [1]. Creator [2]"), ffcapi.KnownTransaction, "", ""},
		{stageEvaluate, grpcError(t, codes.Unimplemented, "unknown service gateway.Gateway"), ffcapi.Unsupported, "", ""},
		{stageSubmit, grpcError(t, codes.Unavailable, "no orderers could successfully process transaction", "connection refused"), ffcapi.Unavailable, ffcapi.SentMaybe, ""},
		{stageSubmit, &lost{words: "permission denied, and no channel x not found"}, ffcapi.Unavailable, ffcapi.SentNo, ""},
		{stageSubmit, grpcError(t, codes.Unavailable, "error reading from server: EOF"), ffcapi.Unavailable, ffcapi.SentMaybe, ""},
		{stageSubmit, grpcError(t, codes.Unavailable, "too many requests, exceeding concurrency limit (500)"), ffcapi.RateLimited, ffcapi.SentNo, ""},
		{stageSubmit, grpcError(t, codes.Unknown, "too many requests for /gateway.Gateway, exceeding concurrency limit (500)"), ffcapi.RateLimited, ffcapi.SentNo, ""},
		{stageSubmit, grpcError(t, codes.Unavailable, "no orderers could successfully process transaction", "too many requests, exceeding concurrency limit (5)"), ffcapi.RateLimited, ffcapi.SentMaybe, ""},
		{stageSubmit, grpcError(t, codes.InvalidArgument, "prepared transaction must be signed"), ffcapi.InvalidInput, ffcapi.SentNo, ""},
		{stageSubmit, grpcError(t, codes.Aborted, "received unsuccessful response from orderer: status=FORBIDDEN, info=x"), ffcapi.Unauthorized, ffcapi.SentMaybe, ""},
		{stageSubmit, grpcError(t, codes.Aborted, "received unsuccessful response from orderer: status=BAD_REQUEST, info=x"), ffcapi.InvalidInput, ffcapi.SentMaybe, ""},
		{stageSubmit, grpcError(t, codes.Aborted, "received unsuccessful response from orderer: status=SERVICE_UNAVAILABLE, info=x"), ffcapi.Unavailable, ffcapi.SentMaybe, ""},
		{stageSubmit, grpcError(t, codes.DeadlineExceeded, "submit timeout expired"), ffcapi.Timeout, ffcapi.SentMaybe, ""},
	} {
		e := callError(t.Context(), c.stage, c.err)
		require.Equal(t, c.kind, e.Kind, "%v", c.err)
		require.Equal(t, c.sent, e.Sent, "%v", c.err)
		require.Equal(t, c.stage, e.Stage)
		require.ErrorIs(t, e, c.err)
		if c.text != "" {
			require.Equal(t, c.text, e.Message)
		}
	}

	e := callError(t.Context(), stageEndorse, grpcError(t, codes.Aborted, collected, "one thing", "another"))
	require.Equal(t, []ffcapi.PeerError{{Address: "a:1", MSP: "Org1MSP", Message: "one thing"}, {Address: "b:2", MSP: "Org2MSP", Message: "another"}}, e.Peers)

	done, cancel := context.WithCancel(t.Context())
	cancel()
	e = callError(done, stageSubmit, &lost{words: "x"})
	require.Equal(t, ffcapi.Timeout, e.Kind)
	require.Equal(t, ffcapi.SentMaybe, e.Sent, "the call was cut short: who knows where")
}

// A peer that is going away may say that the time of a call is over which it had before.
func TestTimeOverAtAPeerThatGoesAway(t *testing.T) {
	t.Parallel()
	n, refused := &node{endpoint: endpoint{address: "a:1"}}, errors.New("connection refused")
	n.broken.Store(&refused)
	e := callError(t.Context(), stageSubmit, n.explain(status.Error(codes.DeadlineExceeded, "submit timeout expired while broadcasting to ordering service")))
	require.Equal(t, ffcapi.Unavailable, e.Kind)
	require.Equal(t, ffcapi.SentMaybe, e.Sent)
	e = callError(t.Context(), stageSubmit, n.explain(status.Error(codes.Unavailable, unconnected+"refused")))
	require.Equal(t, ffcapi.SentNo, e.Sent)
}

func TestResponseErrors(t *testing.T) {
	t.Parallel()
	n := &node{endpoint: endpoint{address: "a:1"}}
	for text, kind := range map[string]ffcapi.Kind{
		"Failed to get block for txID x, error no such transaction ID [x] in index":        ffcapi.NotFound,
		"access denied for [GetChainInfo][ch1]: [Failed evaluating policy on signed data]": ffcapi.Unauthorized,
		"Failed to get block info with error leveldb: closed":                              ffcapi.Unavailable,
	} {
		e := responseError(n, &peer.Response{Status: 500, Message: text})
		require.Equal(t, kind, e.Kind, text)
		require.Contains(t, e.Peers[0].Message, "500")
	}
}
