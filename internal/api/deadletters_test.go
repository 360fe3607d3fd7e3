package api

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/store"
)

func TestRoutesReachTheDeadLetters(t *testing.T) {
	t.Parallel()
	const letter = `{"id":"d","sequence":"","streamId":"","listenerId":"","listenerName":"","eventId":"","blockNumber":"","kind":"","error":"","attempts":0}`
	for _, c := range []routeCase{
		{"GET /eventstreams/s/deadletters", "", 200, `DeadLetters s {} 500`, `[]`},
		{
			"GET /eventstreams/s/deadletters?limit=7&after=3&before=9&listener=l&kind=refused&since=2026-01-31T12:00:00Z&until=2026-01-31T14:00:00%2B01:00", "", 200,
			`DeadLetters s {"after":"3","before":"9","listener":"l","kind":"refused","since":"2026-01-31T12:00:00Z","until":"2026-01-31T13:00:00Z"} 7`, `[]`,
		},
		{"GET /eventstreams/s/deadletters/d", "", 200, `DeadLetter s d`, letter},
		{"POST /eventstreams/s/deadletters/d/replay", "", 202, `ReplayDeadLetter s d`, letter},
		{"POST /eventstreams/s/deadletters/replay", `{"all":true}`, 202, `ReplayDeadLetters s {"all":true}`, `{"count":3}`},
		{"POST /eventstreams/s/deadletters/replay", `{"since":"2026-01-31T12:00:00Z","after":"4"}`, 202, `ReplayDeadLetters s {"after":"4","since":"2026-01-31T12:00:00Z"}`, `{"count":3}`},
		{"DELETE /eventstreams/s/deadletters/d", "", 204, `DeleteDeadLetter s d`, ``},
		{"DELETE /eventstreams/s/deadletters?all=true", "", 200, `DeleteDeadLetters s {"all":true}`, `{"count":4}`},
		{"DELETE /eventstreams/s/deadletters?kind=expression", "", 200, `DeleteDeadLetters s {"kind":"expression"}`, `{"count":4}`},
	} {
		c.check(t)
		g := newRig()
		g.streams.err = store.ErrNotFound
		require.Equal(t, http.StatusNotFound, g.do(t, c.request, c.body).Code, c.request)
	}
}

func TestBadSelectionsOfDeadLetters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ request, body, text string }{
		{"GET /eventstreams/s/deadletters?limit=0", "", "limit is \\\"0\\\": give a number from 1 to 500"},
		{"GET /eventstreams/s/deadletters?since=yesterday", "", "since is \\\"yesterday\\\": give a time such as 2026-01-31T12:00:00Z"},
		{"DELETE /eventstreams/s/deadletters?until=1", "", "until is \\\"1\\\": give a time"},
		{"GET /eventstreams/s/deadletters?all=true", "", "this route knows limit, after, before, listener, kind, since, until"},
		{"DELETE /eventstreams/s/deadletters?all=yes", "", "all is \\\"yes\\\": give true or false"},
		{"POST /eventstreams/s/deadletters/replay", "", "PY10001"},
		{"POST /eventstreams/s/deadletters/replay", `{"all":1}`, "PY10003: all is 1: give true or false"},
		{"POST /eventstreams/s/deadletters/replay", `{"listner":"l"}`, `is not a field of a selection of dead letters; the closest is \"listener\"`},
		{"POST /eventstreams/s/deadletters/replay", `{"after":3}`, "PY10003: after is 3: give a string"},
		{"POST /eventstreams/s/deadletters/d/replay", `{"all":true}`, "it has no fields"},
	} {
		g := newRig()
		w := g.do(t, c.request, c.body)
		require.Equal(t, http.StatusBadRequest, w.Code, "%s: %s", c.request, w.Body)
		require.Contains(t, w.Body.String(), c.text, c.request)
		require.Empty(t, g.streams.calls)
	}
}
