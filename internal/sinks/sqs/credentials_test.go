package sqs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/secret"
	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon"
	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
	"github.com/pyralis-io/pyralis/internal/sinks/sqs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	machineID = "ASIAMACHINE"
	roleID    = "ASIAROLE"
)

// factory makes a factory whose streams may connect to localhost by name, and to no address of this machine, with a configuration of one.
func factory(t *testing.T, aws *awstest.Server, test amazon.Test, fields string) (*sqs.Factory, json.RawMessage) {
	t.Helper()
	refs, err := secret.New(secret.Options{})
	require.NoError(t, err)
	env, err := broker.NewEnv(broker.Config{Allow: []string{"localhost"}}, refs)
	require.NoError(t, err)
	f, err := sqs.New(env)
	require.NoError(t, err)
	f.SetTest(test)
	endpoint := strings.Replace(aws.URL, "127.0.0.1", "localhost", 1)
	cfg, err := f.Validate(json.RawMessage(fmt.Sprintf(`{"queueUrl":%q,"region":%q,"endpoint":%q,"requestTimeout":"100s"%s}`, aws.CreateQueue("events", nil), awstest.Region, endpoint, fields)))
	require.NoError(t, err)
	return f, cfg
}

// deliver sends one event.
func deliver(t *testing.T, aws *awstest.Server, test amazon.Test, fields string) error {
	t.Helper()
	f, cfg := factory(t, aws, test, fields)
	s, err := f.Open(t.Context(), sink.Stream{ID: "s1", Name: "orders"}, cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close(context.Background())) }()
	event := sink.Event{ID: "e1", Listener: &sink.Listener{ID: "l1", Name: "l", Stream: "s1"}, JSON: []byte(`{"id":"e1"}`)}
	result := make(chan error, 1)
	s.Send(t.Context(), &sink.Batch{Number: 1, Attempt: 1, Events: []sink.Event{event}, Body: []byte(`[{"id":"e1"}]`)}, func(err error) { result <- err })
	return <-result
}

// nothing keeps the settings of the machine that runs the tests out of them.
func nothing(more ...func(*config.LoadOptions) error) []func(*config.LoadOptions) error {
	return append([]func(*config.LoadOptions) error{config.WithSharedConfigFiles([]string{}), config.WithSharedCredentialsFiles([]string{})}, more...)
}

// metadata is the service that gives a machine of EC2 its credentials.
func metadata(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/api/token"):
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
			_, _ = io.WriteString(w, "token")
		case strings.HasSuffix(r.URL.Path, "/security-credentials/"):
			_, _ = io.WriteString(w, "node")
		case strings.HasSuffix(r.URL.Path, "/node"):
			_, _ = fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":"machine-key","Token":"machine-token","Expiration":%q}`, machineID, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// Without credentials of its own a stream has those of the machine. Where the machine gets them from is out of reach of streams.
func TestCredentialsOfTheMachine(t *testing.T) {
	t.Parallel()
	aws := awstest.New(map[string]string{machineID: "machine-key"})
	t.Cleanup(aws.Close)
	test := amazon.Test{Load: nothing(config.WithEC2IMDSEndpoint(metadata(t)))}
	err := deliver(t, aws, test, "")
	for tries := 1; err != nil && tries < 20; tries++ { // the SDK gives that service 250 ms for a connection
		err = deliver(t, aws, test, "")
	}
	require.NoError(t, err)
	calls := aws.Calls("SendMessageBatch")
	require.Len(t, calls, 1)
	require.Equal(t, machineID, calls[0].Key)
	require.Equal(t, "machine-token", calls[0].Token)
}

func TestNoCredentials(t *testing.T) {
	t.Parallel()
	aws := awstest.New(map[string]string{machineID: "machine-key"})
	t.Cleanup(aws.Close)
	for name, c := range map[string]struct {
		load   func(*config.LoadOptions) error
		fields string
	}{
		"none":       {config.WithEC2IMDSClientEnableState(imds.ClientDisabled), ""},
		"for a role": {config.WithEC2IMDSClientEnableState(imds.ClientDisabled), `,"roleArn":"arn:aws:iam::123456789012:role/events"`},
		"no profile": {config.WithSharedConfigProfile("nobody"), ""},
	} {
		test := amazon.Test{Load: nothing(c.load), Roles: strings.Replace(aws.URL, "127.0.0.1", "localhost", 1)}
		err := deliver(t, aws, test, c.fields)
		require.ErrorContains(t, err, "SQS: the AWS settings and credentials of the server's machine cannot be used: ", name)
		require.ErrorContains(t, err, "; give accessKeyId and secretAccessKey, or ", name)
		require.False(t, sink.IsRefused(err), name)
		require.Empty(t, aws.Calls("SendMessageBatch"), name)
		f, cfg := factory(t, aws, test, c.fields)
		var inv *apitypes.Invalid
		require.ErrorAs(t, f.Probe(t.Context(), sink.Stream{}, cfg), &inv, name)
		require.Equal(t, "accessKeyId", inv.Field, name)
		require.Contains(t, inv.Fix, "secretAccessKey", name)
	}
}

// A role is taken on with the credentials of the stream, through the guard.
func TestRole(t *testing.T) {
	t.Parallel()
	aws := awstest.New(map[string]string{roleID: "role-key"})
	t.Cleanup(aws.Close)
	roles := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "AKIAOWN/") || r.FormValue("RoleArn") != "arn:aws:iam::123456789012:role/events" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not yours</Message></Error></ErrorResponse>`)
			return
		}
		_, _ = fmt.Fprintf(w, `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>role-key</SecretAccessKey>
<SessionToken>role-token</SessionToken><Expiration>%s</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`, roleID, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(roles.Close)
	byName := strings.Replace(roles.URL, "127.0.0.1", "localhost", 1)
	const fields = `,"accessKeyId":"AKIAOWN","secretAccessKey":"own-key","roleArn":"arn:aws:iam::123456789012:role/`
	require.NoError(t, deliver(t, aws, amazon.Test{Load: nothing(), Roles: byName}, fields+`events"`))
	calls := aws.Calls("SendMessageBatch")
	require.Len(t, calls, 1)
	require.Equal(t, roleID, calls[0].Key)
	require.Equal(t, "role-token", calls[0].Token)

	require.EqualError(t, deliver(t, aws, amazon.Test{Load: nothing(), Roles: byName}, fields+`admin"`), "SQS: the role cannot be taken on: AccessDenied: not yours")
	f, cfg := factory(t, aws, amazon.Test{Load: nothing(), Roles: byName}, fields+`admin"`)
	var inv *apitypes.Invalid
	require.ErrorAs(t, f.Probe(t.Context(), sink.Stream{}, cfg), &inv)
	require.Equal(t, "roleArn", inv.Field)
	f, cfg = factory(t, aws, amazon.Test{Load: nothing(), Roles: byName}, fields+`events"`)
	require.NoError(t, f.Probe(t.Context(), sink.Stream{}, cfg))
	require.ErrorContains(t, deliver(t, aws, amazon.Test{Load: nothing(), Roles: roles.URL}, fields+`events"`), "a loopback address, which may not be connected to")
}

// A program that gives credentials may print them where they should not be: what it prints is shown to nobody.
func TestProgramForCredentials(t *testing.T) { //nolint:paralleltest // it sets variables of the environment
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} {
		t.Setenv(k, "")
	}
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte("[default]\ncredential_process = echo '{\"Version\":\"1\",\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"canary\"}'\n"), 0o600))
	aws := awstest.New(nil)
	t.Cleanup(aws.Close)
	err := deliver(t, aws, amazon.Test{Load: []func(*config.LoadOptions) error{
		config.WithSharedConfigFiles([]string{file}), config.WithSharedCredentialsFiles([]string{}),
	}}, "")
	require.ErrorContains(t, err, "credential_process")
	require.NotContains(t, err.Error(), "canary")
}
