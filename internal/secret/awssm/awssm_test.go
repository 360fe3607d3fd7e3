package awssm_test

import (
	"context"
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
		Load: []func(*config.LoadOptions) error{
			config.WithSharedConfigFiles([]string{}), config.WithSharedCredentialsFiles([]string{}),
			config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("AKIA", key, "canary-token")),
		},
	})
	r, err := secret.New(secret.Options{Allow: allow, AWS: store})
	require.NoError(t, err)
	return aws, r, clock
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
