package awssm_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/secret"
	"github.com/pyralis-io/pyralis/internal/secret/awssm"
	"github.com/pyralis-io/pyralis/internal/sinks/broker/amazon/awstest"
)

// rig is a fake with a resolver that asks it, and a clock.
func rig(t *testing.T, key string, allow ...string) (aws *awstest.Server, r *secret.Resolver, clock *atomic.Int64) {
	t.Helper()
	aws = awstest.New(map[string]string{"AKIA": "machine-key"})
	t.Cleanup(aws.Close)
	clock = new(atomic.Int64)
	store := awssm.New(awssm.Options{
		Region: "eu-west-1", Endpoint: aws.URL, Now: func() time.Time { return time.Unix(clock.Load(), 0) },
		Load: append(nothing(), config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("AKIA", key, "canary-token"))),
	})
	r, err := secret.New(secret.Options{Allow: allow, AWS: store})
	require.NoError(t, err)
	return aws, r, clock
}

// nothing keeps the settings of the machine that runs the tests out of them, and has no call repeated.
func nothing() []func(*config.LoadOptions) error {
	return []func(*config.LoadOptions) error{
		config.WithSharedConfigFiles([]string{}), config.WithSharedCredentialsFiles([]string{}), config.WithRetryMaxAttempts(1),
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	aws, r, _ := rig(t, "machine-key", "awssm:hooks/*", "awssm:arn:aws:secretsmanager:*:secret:db/*")
	aws.PutSecret("hooks/key", "s3cret")
	aws.PutSecret("hooks/many", `{"user":"ann","port":5432,"on":true,"none":null,"list":[],"empty":""}`)
	arn := aws.PutSecret("db/main", "by its arn")
	for ref, want := range map[string]string{
		"awssm:hooks/key": "s3cret", "awssm:" + arn: "by its arn",
		"awssm:hooks/many#user": "ann", "awssm:hooks/many#port": "5432", "awssm:hooks/many#on": "true",
	} {
		require.True(t, r.IsReference(ref))
		require.NoError(t, r.Check(ref))
		got, err := r.Resolve(t.Context(), ref)
		require.NoError(t, err, ref)
		require.Equal(t, want, got)
	}
	for ref, want := range map[string]string{
		"awssm:other":            "awssm:other is not allowed: list it in the key secrets.allow of the configuration",
		"awssm:hooks/gone":       "awssm:hooks/gone cannot be read: AWS Secrets Manager: ResourceNotFoundException: Secrets Manager can't find the specified secret.",
		"awssm:hooks/key#user":   "awssm:hooks/key#user cannot be read: the secret is no JSON object",
		"awssm:hooks/many#pass":  "awssm:hooks/many#pass cannot be read: the secret has no member of this name",
		"awssm:hooks/many#none":  "awssm:hooks/many#none cannot be read: the member is no text",
		"awssm:hooks/many#list":  "awssm:hooks/many#list cannot be read: the member is no text",
		"awssm:hooks/many#empty": "awssm:hooks/many#empty is empty",
	} {
		_, err := r.Resolve(t.Context(), ref)
		require.EqualError(t, err, want)
	}
}

// A secret is paid for once a minute, and one that changed counts after that.
func TestKept(t *testing.T) {
	t.Parallel()
	aws, r, clock := rig(t, "machine-key", "awssm:hooks/*")
	aws.PutSecret("hooks/many", `{"a":"1","b":"2"}`)
	get := func(ref string) string {
		got, err := r.Resolve(t.Context(), ref)
		require.NoError(t, err)
		return got
	}
	require.Equal(t, "1", get("awssm:hooks/many#a"))
	aws.PutSecret("hooks/many", `{"a":"3","b":"4"}`)
	clock.Add(59)
	require.Equal(t, "2", get("awssm:hooks/many#b"))
	require.Len(t, aws.Calls("GetSecretValue"), 1)
	clock.Add(1)
	require.Equal(t, "4", get("awssm:hooks/many#b"))
	require.Len(t, aws.Calls("GetSecretValue"), 2)
}

// During an outage deliveries go on with what was read last, for an hour at most. They do not wait for Secrets Manager each time.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]awstest.Fault{
		"away":       {Cut: true},
		"broken":     {Code: "InternalServiceError", Text: "no", Status: http.StatusInternalServerError},
		"overloaded": {Code: "ThrottlingException", Text: "Rate exceeded"},
		"busy":       {Code: "SomethingElse", Text: "no", Status: http.StatusServiceUnavailable},
	} {
		aws, r, clock := rig(t, "machine-key", "awssm:hooks/*")
		aws.PutSecret("hooks/key", "old")
		aws.PutSecret("hooks/other", "other")
		get := func() (string, error) { return r.Resolve(t.Context(), "awssm:hooks/key") }
		require.Equal(t, "old", must(get()))
		aws.On(func(context.Context, *awstest.Call) awstest.Fault { return fault })
		clock.Add(60)
		require.Equal(t, "old", must(get()), name)
		asked := len(aws.Calls("GetSecretValue"))
		clock.Add(14)
		require.Equal(t, "old", must(get()), name)
		require.Len(t, aws.Calls("GetSecretValue"), asked, name)
		clock.Store(3599)
		require.Equal(t, "old", must(get()), name)
		require.Greater(t, len(aws.Calls("GetSecretValue")), asked, "it is tried again")
		_, err := r.Resolve(t.Context(), "awssm:hooks/other")
		require.ErrorContains(t, err, "awssm:hooks/other cannot be read: AWS Secrets Manager: ", "of that nothing was read")
		var passing interface{ Temporary() bool }
		require.ErrorAs(t, err, &passing)
		clock.Add(15)
		_, err = get()
		require.Error(t, err, "an hour has passed")
		aws.PutSecret("hooks/key", "new")
		aws.On(nil)
		require.Equal(t, "new", must(get()), name)
	}
}

// must is a value that there has to be.
func must(value string, err error) string {
	if err != nil {
		return err.Error()
	}
	return value
}

// Who may not read a secret any more does not have it.
func TestARefusalIsNoOutage(t *testing.T) {
	t.Parallel()
	aws, r, clock := rig(t, "machine-key", "awssm:hooks/*")
	aws.PutSecret("hooks/key", "old")
	_, err := r.Resolve(t.Context(), "awssm:hooks/key")
	require.NoError(t, err)
	clock.Add(60)
	aws.On(func(context.Context, *awstest.Call) awstest.Fault {
		return awstest.Fault{Code: "AccessDeniedException", Text: "not yours"}
	})
	_, err = r.Resolve(t.Context(), "awssm:hooks/key")
	require.EqualError(t, err, "awssm:hooks/key cannot be read: AWS Secrets Manager: AccessDeniedException: not yours")
	aws.On(func(context.Context, *awstest.Call) awstest.Fault { return awstest.Fault{Cut: true} })
	_, err = r.Resolve(t.Context(), "awssm:hooks/key")
	require.Error(t, err, "and is not given it back by an outage")
}

// The keys of the machine are found again when AWS takes the old ones no more.
func TestKeysOfTheMachineRotate(t *testing.T) {
	t.Parallel()
	aws := awstest.New(map[string]string{"AKIAOLD": "k", "AKIANEW": "k"})
	t.Cleanup(aws.Close)
	var now, key atomic.Value
	now.Store(time.Unix(0, 0))
	key.Store("AKIAOLD")
	aws.PutSecret("key", "s3cret")
	store := awssm.New(awssm.Options{
		Region: "eu-west-1", Endpoint: aws.URL, Now: func() time.Time { return now.Load().(time.Time) },
		Load: append(nothing(), func(o *config.LoadOptions) error {
			o.Credentials = credentials.NewStaticCredentialsProvider(key.Load().(string), "k", "")
			return nil
		}),
	})
	for i := range 3 {
		now.Store(time.Unix(int64(i)*60, 0))
		require.Equal(t, "s3cret", must(store.Secret(t.Context(), "key")))
	}
	require.Len(t, aws.Calls("GetSecretValue"), 3)
	aws.On(func(_ context.Context, c *awstest.Call) awstest.Fault {
		if c.Key == "AKIAOLD" {
			return awstest.Fault{Code: "ExpiredTokenException", Text: "The security token included in the request is expired"}
		}
		return awstest.Fault{}
	})
	now.Store(time.Unix(200, 0))
	_, err := store.Secret(t.Context(), "key")
	require.ErrorContains(t, err, "ExpiredTokenException")
	require.Len(t, aws.Calls("GetSecretValue"), 5, "with the old client, and once with a new one")
	_, err = store.Secret(t.Context(), "key")
	require.ErrorContains(t, err, "ExpiredTokenException")
	require.Len(t, aws.Calls("GetSecretValue"), 6, "a client that is new already is not made twice")
	key.Store("AKIANEW")
	require.Equal(t, "s3cret", must(store.Secret(t.Context(), "key")))
	aws.On(func(_ context.Context, c *awstest.Call) awstest.Fault {
		if c.Key == "AKIANEW" {
			return awstest.Fault{Code: "UnrecognizedClientException", Text: "no"}
		}
		return awstest.Fault{}
	})
	key.Store("AKIAOLD")
	now.Store(time.Unix(300, 0))
	require.Equal(t, "s3cret", must(store.Secret(t.Context(), "key")), "within one reading")
}

// A secret that is named without its region, where none is set, says what to set.
func TestNoRegion(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	aws := awstest.New(nil)
	t.Cleanup(aws.Close)
	arn := aws.PutSecret("key", "s3cret")
	store := awssm.New(awssm.Options{Endpoint: aws.URL, Load: append(nothing(),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("AKIA", "k", "")))})
	_, err := store.Secret(t.Context(), "key")
	require.EqualError(t, err, "no region is known: set secrets.aws.region in the configuration of the server, or name the secret by its ARN")
	require.Equal(t, "s3cret", must(store.Secret(t.Context(), arn)))
}

func TestRefused(t *testing.T) {
	t.Parallel()
	_, r, _ := rig(t, "canary-wrong", "awssm:hooks/*")
	_, err := r.Resolve(t.Context(), "awssm:hooks/key")
	require.ErrorContains(t, err, "awssm:hooks/key cannot be read: AWS Secrets Manager: SignatureDoesNotMatch: ")
	require.NotContains(t, err.Error(), "canary")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = r.Resolve(ctx, "awssm:hooks/key")
	require.ErrorIs(t, err, context.Canceled)
}

// Secrets Manager swallows what is sent to it, and who asks has less time than the store takes: as Kafka's dial has.
func TestOutageOfWhoHasLittleTime(t *testing.T) {
	t.Parallel()
	aws, r, clock := rig(t, "machine-key", "awssm:hooks/*")
	aws.PutSecret("hooks/key", "old")
	_, err := r.Resolve(t.Context(), "awssm:hooks/key")
	require.NoError(t, err)
	aws.On(func(ctx context.Context, _ *awstest.Call) awstest.Fault {
		<-ctx.Done()
		return awstest.Fault{Cut: true}
	})
	clock.Add(60)
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		got, err := r.Resolve(ctx, "awssm:hooks/key")
		cancel()
		require.NoError(t, err)
		require.Equal(t, "old", got)
	}
}

// A program that gives credentials may print them where they should not be: what it prints is shown to nobody.
func TestProgramForCredentials(t *testing.T) { //nolint:paralleltest // it sets variables of the environment
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte("[default]\nregion = eu-west-1\ncredential_process = echo '{\"Version\":\"1\",\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"canary\"}'\n"), 0o600))
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION"} {
		t.Setenv(k, "")
	}
	aws := awstest.New(nil)
	t.Cleanup(aws.Close)
	s := awssm.New(awssm.Options{Endpoint: aws.URL, Load: []func(*config.LoadOptions) error{
		config.WithSharedConfigFiles([]string{file}), config.WithSharedCredentialsFiles([]string{}),
	}})
	_, err := s.Secret(t.Context(), "key")
	require.ErrorContains(t, err, "credential_process")
	require.NotContains(t, err.Error(), "canary")
}
