package awserr_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/pyralis-io/pyralis/internal/awserr"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a program for credentials has printed is in no text, however deep its error stands in others.
func TestText(t *testing.T) {
	t.Parallel()
	process := &processcreds.ProviderError{Err: errors.New(`parse failed of process output: {"SecretAccessKey":"canary"}`)}
	for _, err := range []error{process, fmt.Errorf("get credentials: %w", process), &smithy.OperationError{ServiceID: "SQS", OperationName: "SendMessage", Err: process}} {
		require.NotContains(t, awserr.Text(err), "canary")
		require.Contains(t, awserr.Text(err), "credential_process")
	}
	op := &smithy.OperationError{ServiceID: "SQS", OperationName: "SendMessage", Err: errors.New("no route\nto host")}
	require.Equal(t, "no route", awserr.Text(fmt.Errorf("call: %w", op)))
	require.Equal(t, "other", awserr.Text(errors.New("other\nlines")))
}

func TestLine(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Name: text", awserr.Line("Name", " text \ntoken"))
	require.Equal(t, "Name", awserr.Line("Name", "\ntoken"))
	require.Equal(t, strings.Repeat("ä", 500)+"…", awserr.Line("", strings.Repeat("ä", 501)))
}

func TestBadCredentials(t *testing.T) {
	t.Parallel()
	require.True(t, awserr.BadCredentials(fmt.Errorf("call: %w", &smithy.GenericAPIError{Code: "com.amazonaws.sqs#.ExpiredToken"})))
	require.False(t, awserr.BadCredentials(&smithy.GenericAPIError{Code: "AccessDenied"}))
	require.False(t, awserr.BadCredentials(errors.New("ExpiredToken")))
	require.Empty(t, awserr.Code(errors.New("ExpiredToken")))
}
