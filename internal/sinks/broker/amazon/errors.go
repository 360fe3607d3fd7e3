package amazon

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/pyralis-io/pyralis/internal/awserr"
	"github.com/pyralis-io/pyralis/internal/netguard"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// machineError is what is wrong with AWS's settings of the server's machine, or with the credentials that it should have.
type machineError struct{ err error }

func (e *machineError) Error() string {
	return "the AWS settings and credentials of the server's machine cannot be used: " + awserr.Text(e.err)
}

func (e *machineError) Unwrap() error { return e.err }

func ofMachine(err error) bool {
	var known *machineError
	return errors.As(err, &known)
}

// giveKeys is what helps against a machineError.
const giveKeys = "give accessKeyId and secretAccessKey, or see to what the server's machine has"

// aboutContent says whether a refusal of a whole call may be the fault of one of its messages. A parameter that is the same for all of them is not.
func aboutContent(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, common := range [...]string{"TopicArn", "TargetArn", "QueueUrl"} {
		for _, named := range [...]string{"parameter ", "parameter: "} { // by SQS, and by SNS
			if strings.Contains(api.ErrorMessage(), named+common) {
				return false
			}
		}
	}
	return awserr.Is(codeOfCall(err), "InvalidParameterValue", "InvalidParameter", "InvalidMessageContents", "InvalidAttributeValue", "BatchRequestTooLong", "ValidationError", "ValidationException", "ParameterValueInvalid")
}

// forGood says whether what was refused will be refused again.
func forGood(name string) bool {
	return awserr.Is(name, "InvalidMessageContents", "BatchRequestTooLong")
}

// notTheMessage says whether a refusal of one message speaks about who sends it, and when.
func notTheMessage(name string) bool {
	lower := strings.ToLower(name)
	for _, part := range [...]string{"kms", "accessdenied", "authorization", "throttl", "limit", "internal", "unavailable"} {
		if strings.Contains(lower, part) {
			return true
		}
	}
	return false
}

// denied says that AWS knows who asks and does not let them do it.
func denied(err error) bool {
	return awserr.Is(awserr.Code(err), "AccessDenied", "AccessDeniedException", "AuthorizationError", "AuthorizationErrorException", "UnauthorizedOperation", "Forbidden")
}

// codeOfCall is what AWS calls an error of a call that sends; "" of one about who asks.
func codeOfCall(err error) string {
	if ofRole(err) || ofMachine(err) {
		return ""
	}
	return awserr.Code(err)
}

// ofRole says whether it is the role that could not be taken on.
func ofRole(err error) bool {
	var op *smithy.OperationError
	for errors.As(err, &op) {
		if op.Service() == sts.ServiceID {
			return true
		}
		err = op.Unwrap()
	}
	return false
}

// problem is the error of a call that says nothing about its messages, in AWS's words where it has some.
func (s *Sink) problem(err error) error {
	var forbidden *netguard.Forbidden
	var unfit *machineError
	var api smithy.APIError
	text := awserr.Text(err)
	switch {
	case errors.As(err, &forbidden):
		text = forbidden.Error() + "; brokers.allow and brokers.allowPrivateIPs in the configuration of the server can allow it"
	case errors.As(err, &unfit):
		text = unfit.Error() + "; " + giveKeys
	case errors.As(err, &api):
		text = awserr.Line(api.ErrorCode(), api.ErrorMessage())
		if ofRole(err) && s.role {
			text = "the role cannot be taken on: " + text
		}
	}
	out := fmt.Errorf("%s: %s", s.service.Name(), text)
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil {
		if after := retryAfter(answer.Response.Header); after > 0 {
			return &sink.RetryAfter{After: after, Err: out}
		}
	}
	return out
}

// retryAfter is what an answer asks for, in whole seconds; 0 if it asks for nothing.
func retryAfter(h http.Header) time.Duration {
	const longest = 24 * 60 * 60
	n, err := strconv.Atoi(strings.TrimSpace(h.Get("Retry-After")))
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(min(n, longest)) * time.Second
}

// Refusal is what a service says of one message of a call.
type Refusal struct {
	Code, Text  string
	SenderFault bool
}

func (s *Sink) refusal(r *Refusal) error {
	err := fmt.Errorf("%s: %s", s.service.Name(), awserr.Line(r.Code, r.Text))
	switch {
	case !r.SenderFault || notTheMessage(r.Code):
		return err
	case forGood(r.Code):
		return sink.Permanent(err)
	default:
		return sink.Refused(err)
	}
}
