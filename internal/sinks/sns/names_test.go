package sns

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARNs(t *testing.T) {
	t.Parallel()
	x := func(n int) string { return strings.Repeat("x", n) }
	const prefix = "arn:aws:sns:eu-west-1:123456789012:"
	for _, arn := range []string{prefix + "a", prefix + "A_b-9.fifo", prefix + x(256), prefix + x(251) + ".fifo", "arn:aws-cn:sns:cn-north-1:123456789012:a"} {
		got, err := target(arn)
		require.NoError(t, err, arn)
		require.Equal(t, strings.Split(arn, ":")[3], got.Region)
	}
	for _, arn := range []string{
		"", "events", prefix, prefix + ".fifo", prefix + "a.b", prefix + "a:b", prefix + x(257), prefix + x(252) + ".fifo", prefix + "a\n",
		"arn:aws:sns::123456789012:a", "arn:aws:sns:EU:123456789012:a", "arn:aws:sqs:eu-west-1:123456789012:a",
	} {
		_, err := target(arn)
		require.Error(t, err, arn)
	}
}
