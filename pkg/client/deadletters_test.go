package client_test

import (
	"testing"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/client"
)

func TestDeadLetterRequests(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	at := fftypes.FFTime(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC))
	some := apitypes.DeadLetterSelection{After: "3", Listener: "l", Since: &at}
	for _, c := range []struct {
		call                  func(c *client.Client) error
		answer, request, body string
	}{
		{func(c *client.Client) error {
			list, err := c.DeadLetters(ctx, "0/s", some, 7)
			require.Len(t, list, 1)
			return err
		}, `[{"id":"d"}]`, "GET /eventstreams/0%2Fs/deadletters?after=3&limit=7&listener=l&since=2026-01-31T12%3A00%3A00Z", ""},
		{func(c *client.Client) error {
			_, err := c.DeadLetters(ctx, "s", apitypes.DeadLetterSelection{All: true}, 0)
			return err
		}, `[]`, "GET /eventstreams/s/deadletters", ""},
		{func(c *client.Client) error {
			l, err := c.DeadLetter(ctx, "s", "d")
			require.JSONEq(t, `{"a":1}`, string(l.Event))
			return err
		}, `{"id":"d","event":{"a":1}}`, "GET /eventstreams/s/deadletters/d", ""},
		{func(c *client.Client) error { _, err := c.ReplayDeadLetter(ctx, "s", "d"); return err }, `{}`, "POST /eventstreams/s/deadletters/d/replay", ""},
		{func(c *client.Client) error {
			n, err := c.ReplayDeadLetters(ctx, "s", some)
			require.Equal(t, int64(5), n)
			return err
		}, `{"count":5}`, "POST /eventstreams/s/deadletters/replay", `{"after":"3","listener":"l","since":"2026-01-31T12:00:00Z"}`},
		{func(c *client.Client) error { return c.DeleteDeadLetter(ctx, "s", "d") }, ``, "DELETE /eventstreams/s/deadletters/d", ""},
		{func(c *client.Client) error {
			n, err := c.DeleteDeadLetters(ctx, "s", apitypes.DeadLetterSelection{All: true})
			require.Equal(t, int64(2), n)
			return err
		}, `{"count":2}`, "DELETE /eventstreams/s/deadletters?all=true", ""},
	} {
		n, cl := newNode(t)
		n.answer = c.answer
		require.NoError(t, c.call(cl), c.request)
		require.Equal(t, c.request, n.request)
		if c.body == "" {
			require.Empty(t, n.body, c.request)
		} else {
			require.JSONEq(t, c.body, n.body, c.request)
		}
	}
}
