package awssm

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/pyralis-io/pyralis/internal/awserr"
)

// outageError says nothing about the secret, nor about who asks for it.
type outageError struct{ err error }

func (e *outageError) Error() string { return e.err.Error() }
func (e *outageError) Unwrap() error { return e.err }

// Temporary says that the reference to the secret is not at fault.
func (*outageError) Temporary() bool { return true }

// problem is what AWS says, in one line.
func problem(err error) error {
	var api smithy.APIError
	var out error
	switch {
	case errors.Is(err, errBinary), errors.Is(err, errNoRegion):
		return err
	case errors.As(err, &api):
		out = fmt.Errorf("AWS Secrets Manager: %s", awserr.Line(api.ErrorCode(), api.ErrorMessage()))
	default:
		out = fmt.Errorf("AWS Secrets Manager: %s", awserr.Text(err))
	}
	if answered(err) {
		return out
	}
	return &outageError{out}
}

// answered says whether AWS has said no, and not only that it cannot answer now.
func answered(err error) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && (answer.HTTPStatusCode() >= http.StatusInternalServerError || answer.HTTPStatusCode() == http.StatusTooManyRequests) {
		return false
	}
	return api.ErrorFault() != smithy.FaultServer && !strings.Contains(strings.ToLower(api.ErrorCode()), "throttl")
}
