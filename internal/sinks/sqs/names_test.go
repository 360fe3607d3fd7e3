package sqs

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegionOfAHost(t *testing.T) {
	t.Parallel()
	type shown struct {
		region string
		public bool
	}
	for host, want := range map[string]shown{
		"sqs.eu-west-1.amazonaws.com": {"eu-west-1", true}, "sqs.cn-north-1.amazonaws.com.cn": {"cn-north-1", true}, "sqs.eu-west-1.api.aws": {"eu-west-1", true},
		"eu-west-1.queue.amazonaws.com": {"eu-west-1", true}, "vpce-1a-2b.sqs.eu-west-1.vpce.amazonaws.com": {"eu-west-1", false}, "vpce--.sqs.a.vpce.amazonaws.com": {"a", false},
		"": {}, "localhost": {}, "sqs.amazonaws.com": {}, "sqs..amazonaws.com": {}, "queue.amazonaws.com": {}, ".queue.amazonaws.com": {}, "sqs.eu.west.amazonaws.com": {},
		"sqs.EU-west-1.amazonaws.com": {}, "xsqs.eu-west-1.amazonaws.com": {}, "sqs.eu-west-1.amazonaws.com.evil": {}, "a.b.queue.amazonaws.com": {},
		"vpce-.sqs.eu-west-1.vpce.amazonaws.com": {}, "vpce.sqs.eu-west-1.vpce.amazonaws.com": {}, "vpce-a.b.sqs.eu-west-1.vpce.amazonaws.com": {},
		"vpce-a.sqs..vpce.amazonaws.com": {}, "vpce-A.sqs.a.vpce.amazonaws.com": {}, "sqs.eu-west-1.vpce.amazonaws.com": {},
	} {
		region, public := regionOf(host)
		require.Equal(t, want, shown{region, public}, host)
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	x := func(n int) string { return strings.Repeat("x", n) }
	for path, want := range map[string]bool{
		"/1/q": true, "/any thing/q.fifo": true, "/1/" + x(80): true, "/1/" + x(75) + ".fifo": true,
		"": false, "/": false, "/q": false, "//q": false, "/1/": false, "1/q": false, "/1/2/q": false, "/1/q/": false, "/1/.fifo": false, "/1/" + x(81): false, "/1/" + x(76) + ".fifo": false,
	} {
		require.Equal(t, want, isPath(path), path)
	}
}
