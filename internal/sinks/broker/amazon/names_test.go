package amazon

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNames(t *testing.T) {
	t.Parallel()
	x := func(n int) string { return strings.Repeat("x", n) }
	const account = "123456789012"
	queue := func(name string) bool { return IsName(name, 80) }
	arn := func(text string) bool { _, _, ok := ARN(text, "sns"); return ok }
	for what, c := range map[string]struct {
		is      func(string) bool
		yes, no []string
	}{
		"name": {
			queue, []string{"a", "Z", "0", "_", "-", "aZ09_-", "events.fifo", x(80), x(75) + ".fifo"},
			[]string{"", ".fifo", "a.b", "a b", "ä", "a\n", "a\x00", "events.fifo.fifo", "events.FIFO", "events.fif", x(81), x(76) + ".fifo", "a/b", "a\xff"},
		},
		"label": {IsLabel, []string{"a", "eu-central-1", "-", "0"}, []string{"", "A", "a.b", "a_b", "a/b", "ä", "a\n"}},
		"arn": {
			arn, []string{"arn:aws:sns:eu-central-1:" + account + ":x", "arn:aws-us-gov:sns:x:" + account + ":x:y", "arn:aws-cn:sns::" + account + ":"},
			[]string{
				"", "arn", "arn:aws:sns:x:" + account, "arn:awS:sns:x:" + account + ":x", "arn:aw:sns:x:" + account + ":x", "Arn:aws:sns:x:" + account + ":x",
				"arn:aws:sqs:x:" + account + ":x", "arn:aws:sns:x:12345678901:x", "arn:aws:sns:x:1234567890123:x", "arn:aws:sns:x:12345678901a:x", "arn:aws1:sns:x:" + account + ":x",
			},
		},
		"region": {
			isRegion, []string{"eu-central-1", "us-gov-west-1", "cn-north-1", "abcd-1", "us-isob-east-1", "ab-x"},
			[]string{"", "eu", "e-central-1", "abcde-1", "eu-", "eu-central-", "eu--1", "-eu-1", "EU-central-1", "e1-central-1", "eu_central_1", "eu-central-1/", "eu-cent.al-1", "eu-1\n"},
		},
		"role": {
			isRole, []string{"arn:aws:iam::" + account + ":role/events", "arn:aws-cn:iam::" + account + ":role/a/b+=,.@_-Z9", "arn:aws:iam::" + account + ":role/" + x(512)},
			[]string{
				"", "admin", "arn:aws:iam::" + account + ":role/", "arn:aws:iam::" + account + ":user/events", "arn:aws:iam:eu-west-1:" + account + ":role/events",
				"arn:aws:iam::" + account + ":role/" + x(513), "arn:aws:iam::" + account + ":role/a:b", "arn:aws:iam::" + account + ":role/a b", "arn:aws:iam::" + account + ":role/ä",
				"arn:aws:iam::12345678901:role/events", "arn:aws:sts::" + account + ":role/events",
			},
		},
		"attribute": {
			isAttribute, []string{"a", "a.b", "A-b_9.c.d", x(256)}, []string{"", ".", ".a", "a.", "a..b", "a b", "ä", "a/b", x(257), "a\n"},
		},
	} {
		for _, text := range c.yes {
			require.True(t, c.is(text), "%s %q", what, text)
		}
		for _, text := range c.no {
			require.False(t, c.is(text), "%s %q", what, text)
		}
	}
	region, resource, ok := ARN("arn:aws:sns:eu-central-1:"+account+":a:b", "sns")
	require.True(t, ok)
	require.Equal(t, []string{"eu-central-1", "a:b"}, []string{region, resource})
}
