package fabric

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pyralis-io/pyralis/ffcapi"
)

// Stages of a call, as they appear in errors.
const (
	stageEndorse  = "endorse"
	stageSubmit   = "submit"
	stageEvaluate = "evaluate"
	stageLedger   = "ledger" // looking at blocks and transactions
)

// invalid is a refusal that names the field.
func invalid(field, format string, args ...any) *ffcapi.Error {
	return ffcapi.Errorf(ffcapi.InvalidInput, "%s: %s", field, fmt.Sprintf(format, args...))
}

// restOf is how long a peer is left alone that has too much to do. It does not say itself.
const restOf = time.Second

// inContext turns what a done context did to a call into Timeout; nil when the context goes on.
func inContext(ctx context.Context, stage string) *ffcapi.Error {
	if ctx.Err() == nil {
		return nil
	}
	return &ffcapi.Error{Kind: ffcapi.Timeout, Stage: stage, Message: "no answer in time", Err: ctx.Err()}
}

// refusal is the text with which a gateway passes on what a chaincode says. Those in JavaScript do not respond with an error but fail the call
// itself, and so do others when they throw; the peer puts the second form before their words.
var refusal = regexp.MustCompile(`(?s)(?:chaincode response (\d+), |transaction returned with failure: )(.*)`)

// notThere is what a peer says about a chaincode or a channel that it does not have.
var notThere = regexp.MustCompile(`chaincode definition for .* exists|make sure the chaincode .* has been successfully defined|` +
	`chaincode .* not found|no chaincode definition|(?i:no metadata was found for chaincode)|channel .* (not found|does not exist)`)

// denied is what a peer says to somebody who may not.
var denied = regexp.MustCompile(`(?i)access denied|creator .*(malformed|unknown|not valid|expired)|identity .*expired|permission denied|` +
	`failed to authorize|signature set did not satisfy policy`)

// Other words of peers and gateways that decide what happens next.
const (
	peersDisagree = "ProposalResponsePayloads do not match"
	knownAlready  = "duplicate transaction found"
	overLimit     = "exceeding concurrency limit"
	wrongCall     = "invalid invocation: " // called as init, or not, when it had to be the other way
	tooLarge      = "larger than max"
	tooSlow       = "timeout expired while executing transaction"
	noSuchTx      = "no such transaction ID"
)

// callError maps the error of a call to a peer or its gateway. ctx is that of the call.
func callError(ctx context.Context, stage string, err error) *ffcapi.Error {
	st := status.Convert(err)
	out := &ffcapi.Error{Stage: stage, Message: st.Message(), Peers: peerErrors(st), Err: err, Sent: ffcapi.SentMaybe}
	if stage != stageSubmit {
		out.Sent = ""
	}
	if done := inContext(ctx, stage); done != nil {
		out.Kind, out.Message = ffcapi.Timeout, done.Message
		return out
	}
	var l *lost
	if errors.As(err, &l) {
		out.Kind = ffcapi.Unavailable
		if out.Sent == ffcapi.SentMaybe && !l.sent {
			out.Sent = ffcapi.SentNo
		}
		return out
	}
	out.Kind = kindOf(stage, st, out)
	if out.Sent == ffcapi.SentMaybe && nothingLeft(st) {
		out.Sent = ffcapi.SentNo
	}
	switch out.Kind {
	case ffcapi.Reverted, ffcapi.NotFound:
		quote(out)
	case ffcapi.RateLimited:
		out.RetryAfter = restOf
	default:
	}
	return out
}

// chaincodeError is callError of a call that has a chaincode executed, which is named where no peer does.
func chaincodeError(ctx context.Context, stage, chaincode string, err error) *ffcapi.Error {
	e := callError(ctx, stage, err)
	switch {
	case e.Kind != ffcapi.Timeout:
	case e.Message == "":
		e.Message = "chaincode " + chaincode
	default:
		e.Message = "chaincode " + chaincode + ": " + e.Message
	}
	return e
}

// said adds to an error which peer was asked, where neither its words nor the other peers tell.
func (n *node) said(e *ffcapi.Error) *ffcapi.Error {
	if len(e.Peers) == 0 && !isLost(e) {
		e.Peers = []ffcapi.PeerError{{Address: n.address, Message: e.Message}}
	}
	return e
}

func peerErrors(st *status.Status) (out []ffcapi.PeerError) {
	for _, d := range st.Details() {
		if e, ok := d.(*gateway.ErrorDetail); ok {
			out = append(out, ffcapi.PeerError{Address: e.GetAddress(), MSP: e.GetMspId(), Message: e.GetMessage()})
		}
	}
	return out
}

// kindOf decides by the status code, and where that is not enough by the words of the peers.
func kindOf(stage string, st *status.Status, e *ffcapi.Error) ffcapi.Kind {
	switch st.Code() {
	case codes.DeadlineExceeded, codes.Canceled:
		return ffcapi.Timeout
	case codes.ResourceExhausted:
		if strings.Contains(st.Message(), tooLarge) {
			return ffcapi.InvalidInput
		}
		return ffcapi.RateLimited
	case codes.Unauthenticated, codes.PermissionDenied:
		return ffcapi.Unauthorized
	case codes.InvalidArgument:
		return ffcapi.InvalidInput
	case codes.Unimplemented:
		return ffcapi.Unsupported
	default:
		return kindOfWords(stage, st, e.Peers)
	}
}

func kindOfWords(stage string, st *status.Status, peers []ffcapi.PeerError) ffcapi.Kind {
	var words, refusals []string // what a chaincode says is not to be taken for what a peer says
	for _, text := range append([]string{st.Message()}, messages(peers)...) {
		if refusal.MatchString(text) {
			refusals = append(refusals, text)
		} else {
			words = append(words, text)
		}
	}
	said := func(match func(string) bool) bool { return slices.ContainsFunc(words, match) }
	switch {
	case said(containing(overLimit)):
		return ffcapi.RateLimited
	case said(containing(knownAlready)):
		return ffcapi.KnownTransaction
	case said(containing(peersDisagree)):
		return ffcapi.Unavailable
	case said(containing(tooSlow)):
		return ffcapi.Timeout
	case len(refusals) > 0:
		return refusalKind(stage, refusals)
	case stage == stageSubmit && st.Code() == codes.Aborted:
		return ordererKind(st.Message())
	case said(containing(wrongCall)):
		return ffcapi.InvalidInput
	case said(notThere.MatchString):
		return ffcapi.NotFound
	case said(denied.MatchString):
		return ffcapi.Unauthorized
	default: // nobody there, no combination of endorsers, a chaincode that does not run: all may pass
		return ffcapi.Unavailable
	}
}

func containing(text string) func(string) bool {
	return func(s string) bool { return strings.Contains(s, text) }
}

// refusalKind: a chaincode refuses a transaction for good. For a query, a response of 404 is an answer: there is none.
func refusalKind(stage string, texts []string) ffcapi.Kind {
	for _, text := range texts {
		if m := refusal.FindStringSubmatch(text); m != nil && m[1] == "404" && stage == stageEvaluate {
			return ffcapi.NotFound
		}
	}
	return ffcapi.Reverted
}

// ordererKind reads why an orderer refused an envelope.
func ordererKind(text string) ffcapi.Kind {
	switch {
	case strings.Contains(text, common.Status_FORBIDDEN.String()):
		return ffcapi.Unauthorized
	case strings.Contains(text, common.Status_BAD_REQUEST.String()), strings.Contains(text, common.Status_REQUEST_ENTITY_TOO_LARGE.String()):
		return ffcapi.InvalidInput
	default:
		return ffcapi.Unavailable
	}
}

// nothingLeft tells whether a failed Submit certainly did not get beyond the gateway.
func nothingLeft(st *status.Status) bool {
	switch st.Code() {
	case codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound, codes.Unimplemented, codes.Unauthenticated, codes.PermissionDenied:
		return true
	case codes.ResourceExhausted: // a message that is too large, or a proxy's limit: the peer has not looked at the call
		return true
	case codes.Unknown, codes.Unavailable: // the peer's own limiter refuses before it looks at the call, and its error has no code
		return strings.Contains(st.Message(), overLimit)
	default:
		return false
	}
}

// quote makes the chaincode's own words the message.
func quote(e *ffcapi.Error) {
	for _, text := range append([]string{e.Message}, messages(e.Peers)...) {
		if m := refusal.FindStringSubmatch(text); m != nil {
			e.Message = m[2]
			return
		}
	}
}

func messages(peers []ffcapi.PeerError) (out []string) {
	for _, p := range peers {
		out = append(out, p.Message)
	}
	return out
}

// responseError maps a response with which a peer's own endorser, not the gateway, refuses a look-up in the ledger.
func responseError(n *node, r *peer.Response) *ffcapi.Error {
	e := &ffcapi.Error{
		Kind: ffcapi.Unavailable, Stage: stageLedger, Message: r.GetMessage(),
		Peers: []ffcapi.PeerError{{Address: n.address, Message: "response " + strconv.Itoa(int(r.GetStatus())) + ", " + r.GetMessage()}},
	}
	switch {
	case strings.Contains(r.GetMessage(), noSuchTx), notThere.MatchString(r.GetMessage()):
		e.Kind = ffcapi.NotFound
	case denied.MatchString(r.GetMessage()):
		e.Kind = ffcapi.Unauthorized
	}
	return e
}

// notJoined tells whether a peer does not have the channel at all, which others may.
func notJoined(e *ffcapi.Error) bool {
	return e.Kind == ffcapi.NotFound && notThere.MatchString(e.Message)
}

// deliverStatus is the status with which a peer ends a block stream.
type deliverStatus common.Status

// Error implements error.
func (s deliverStatus) Error() string {
	return "the block stream ended with " + common.Status(s).String()
}

// deliverError maps the error of a block stream.
func deliverError(ctx context.Context, n *node, err error) *ffcapi.Error {
	if done := inContext(ctx, stageLedger); done != nil {
		return done
	}
	var s deliverStatus
	if !errors.As(err, &s) {
		return n.said(callError(ctx, stageLedger, err))
	}
	e := &ffcapi.Error{
		Kind: ffcapi.Unavailable, Stage: stageLedger, Message: s.Error(), Err: err,
		Peers: []ffcapi.PeerError{{Address: n.address, Message: s.Error()}},
	}
	switch common.Status(s) {
	case common.Status_FORBIDDEN:
		e.Kind = ffcapi.Unauthorized
	case common.Status_BAD_REQUEST:
		// With mutual TLS it may have been bound to the connection before: gRPC sends what was not processed again over the next one.
		if n.client == nil {
			e.Kind = ffcapi.Internal
		}
	default:
	}
	return e
}

// unreadable is how an orderer's answer to an envelope that it cannot read reaches a client of the gateway.
const unreadable = "status=BAD_REQUEST"

// ordererAnswered tells whether an orderer looked at an envelope that it cannot read. A BFT network's answers are in the details.
func ordererAnswered(e *ffcapi.Error) bool {
	return slices.ContainsFunc(append([]string{e.Message}, messages(e.Peers)...), containing(unreadable))
}
