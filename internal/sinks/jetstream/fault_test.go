package jetstream_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// What is not there yet may come: a plain error in the server's words, that blocks the stream, and nothing is stored meanwhile.
func TestWhatMayBeOvercome(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := client(t, urlOf(s))
	stream := create(t, c, nil)
	_, err := c.CreateStream(t.Context(), js.StreamConfig{Name: "OTHER", Subjects: []string{"other.>"}})
	require.NoError(t, err)
	_, err = c.CreateStream(t.Context(), js.StreamConfig{Name: "MUTE", Subjects: []string{"mute.>"}, NoAck: true})
	require.NoError(t, err)
	plain := serve(t, func(o *server.Options) { o.JetStream = false })
	for name, set := range map[string]struct{ url, fields, want string }{
		"unknown stream":   {urlOf(s), `"stream":"NOWHERE"`, "the stream NOWHERE: nats: API error: code=404 err_code=10059 description=stream not found"},
		"no such subject":  {urlOf(s), `"subject":"nobody.listens"`, "no responders"},
		"of another":       {urlOf(s), `"subject":"other.x"`, "expected stream does not match"},
		"acknowledges not": {urlOf(s), `"stream":"MUTE","subject":"mute.x"`, "acknowledges nothing"},
		"no JetStream":     {urlOf(plain), ``, "JetStream is not there, or not enabled for this account"},
	} {
		b := batch(1, 3)
		err := send(t, open(t, factory(t, nil), set.url, set.fields), b)
		require.ErrorContains(t, err, set.want, name)
		require.ErrorContains(t, err, set.url, name)
		require.False(t, sink.IsRefused(err), name)
		require.Len(t, failures(t, b, err), 3, name)
	}
	require.Empty(t, stored(t, stream))
}

// An event that can never be stored is refused for good, alone, and with it comes again what stands behind it.
func TestWhatIsTheContentsFault(t *testing.T) {
	t.Parallel()
	s := serve(t, func(o *server.Options) { o.MaxPayload = 8000 })
	c := client(t, urlOf(s))
	stream := create(t, c, func(cfg *js.StreamConfig) { cfg.MaxMsgSize = 4000 })
	for number, set := range []struct{ fields, bad, want string }{
		{``, `{"data":"` + strings.Repeat("x", 5000) + `"}`, "message size exceeds maximum allowed"},
		{``, `{"data":"` + strings.Repeat("x", 9000) + `"}`, "and the server takes 8000 at most (max_payload)"},
		{`"subject":"=\"events.\" + .id"`, `{"id":"a b"}`, "subject: what the expression gives for this event has a space"},
		{`"subject":"=.subject // \"events.x\""`, `{"subject":"$JS.API.STREAM.DELETE.EVENTS"}`, "begins with $"},
		{`"subject":"=\"events.\" + .id"`, `{"id":"*"}`, "has the wildcard *"},
		{`"subject":"=\"events.\" + .id"`, `{"id":"a..b"}`, "has nothing before, between or after its dots"},
		{`"subject":"=.id | if . == \"bad\" then null else \"events.x\" end"`, `{"id":"bad"}`, "the expression gives null"},
	} {
		b := batch(int64(number), 4)
		b.Events[2].JSON = []byte(set.bad)
		out := open(t, factory(t, nil), urlOf(s), set.fields)
		failed := failures(t, b, send(t, out, b))
		require.Len(t, failed, 2)
		require.ErrorContains(t, failed[2], set.want)
		require.True(t, sink.IsPermanent(failed[2]))
		require.False(t, sink.IsRefused(failed[3]), "nothing is known of what stands behind it")
		require.NoError(t, send(t, out, &sink.Batch{Events: b.Events[3:]}), "the engine sets it aside, and goes on")
		require.Equal(t, []string{b.Events[0].ID, b.Events[1].ID, b.Events[3].ID}, stored(t, stream)[3*number:])
	}
}

// A stream that is full is a plain error, and nothing behind the first message without room is stored, even if it gets room meanwhile.
func TestFullStream(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := client(t, urlOf(s))
	for i, limit := range []func(*js.StreamConfig){
		func(cfg *js.StreamConfig) { cfg.MaxMsgs = 20 },
		func(cfg *js.StreamConfig) { cfg.MaxBytes = 20 * 500 },
		func(cfg *js.StreamConfig) { cfg.MaxMsgsPerSubject, cfg.DiscardNewPerSubject = 20, true },
	} {
		name := fmt.Sprintf("FULL%d", i)
		stream := create(t, c, func(cfg *js.StreamConfig) {
			cfg.Name, cfg.Subjects, cfg.Discard = name, []string{name + ".>"}, js.DiscardNew
			limit(cfg)
		})
		out := open(t, factory(t, nil), urlOf(s), fmt.Sprintf(`"stream":%q,"subject":%q`, name, name+".x"))
		// Room comes free while a batch is on its way.
		stop, ended := make(chan struct{}), make(chan struct{})
		var got []string
		go func() {
			defer close(ended)
			for seq := uint64(1); ; {
				select {
				case <-stop:
					return
				default:
				}
				m, err := stream.GetMsg(t.Context(), seq)
				if err != nil || stream.DeleteMsg(t.Context(), seq) != nil {
					continue
				}
				got = append(got, m.Header.Get("pyralis-event-id"))
				seq++
			}
		}()
		var all []*sink.Batch
		for refused, end := false, time.Now().Add(patience); !refused; { // what frees the room may be faster than one batch
			all = append(all, batch(int64(len(all)), 60))
			for left := all[len(all)-1]; left != nil; {
				require.True(t, time.Now().Before(end), "a batch is not delivered, or the stream was never full")
				err := send(t, out, left)
				require.False(t, sink.IsRefused(err), "%v", err)
				if left = rest(t, left, err); left != nil {
					refused = refused || strings.Contains(err.Error(), "maximum")
					<-time.After(window)
				}
			}
		}
		close(stop)
		<-ended
		require.Equal(t, names(all...), append(got, stored(t, stream)...))
		require.False(t, warned(out, "discard old"))
	}
}

// Whoever is not let in, or may not publish, hears so in the words of the server, and no secret is in them.
func TestLogin(t *testing.T) {
	t.Parallel()
	s := serve(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "writer", Password: "canary-right"},
			{Username: "reader", Password: "canary-right", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"$JS.API.STREAM.INFO.EVENTS"}}}},
			{Username: "nobody", Password: "canary-right", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.>"}}}},
		}
	})
	stream := create(t, client(t, urlOf(s), nats.UserInfo("writer", "canary-right")), nil)
	vars := map[string]string{"NATS_PASSWORD": "canary-wrong"}
	f := factory(t, vars)
	for user, want := range map[string]string{
		`"username":"writer","password":"canary-wrong"`: "Authorization Violation",
		`"token":"canary-token"`:                        "Authorization Violation",
		``:                                              "Authorization Violation",
		`"username":"reader","password":"canary-right"`:      `Permissions Violation for Publish to "events.all"`,
		`"username":"nobody","password":"canary-right"`:      `Permissions Violation for Publish to "$JS.API.STREAM.INFO.EVENTS"`,
		`"username":"writer","password":"env:NATS_PASSWORD"`: "Authorization Violation",
		`"username":"writer","password":"env:NATS_NOTHING"`:  "password: env:NATS_NOTHING cannot be read",
	} {
		err := told(t, open(t, f, urlOf(s), strings.TrimPrefix(user+`,"requestTimeout":"500ms"`, ",")), batch(1, 2), want)
		require.Error(t, err, user)
		require.Contains(t, strings.ToLower(err.Error()), strings.ToLower(want), user)
		require.NotContains(t, err.Error(), "canary")
		require.False(t, sink.IsRefused(err))
	}
	require.Empty(t, stored(t, stream))

	// A reference is read anew for each connection.
	out := open(t, f, urlOf(s), `"username":"writer","password":"env:NATS_PASSWORD"`)
	require.Error(t, send(t, out, batch(1, 2)))
	vars["NATS_PASSWORD"] = "canary-right"
	require.NoError(t, send(t, out, batch(1, 2)))
	require.Equal(t, names(batch(1, 2)), stored(t, stream))
}

// Answers come to a prefix of one's own where the others are not allowed.
func TestInboxPrefix(t *testing.T) {
	t.Parallel()
	s := serve(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "pass", Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: []string{"$JS.API.STREAM.INFO.EVENTS", "events.all"}},
			Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_u.>"}},
		}}, {Username: "admin", Password: "pass"}}
	})
	create(t, client(t, urlOf(s), nats.UserInfo("admin", "pass")), nil)
	const user = `"username":"u","password":"pass"`
	require.Error(t, send(t, open(t, factory(t, nil), urlOf(s), user+`,"requestTimeout":"500ms"`), batch(1, 2)))
	require.NoError(t, send(t, open(t, factory(t, nil), urlOf(s), user+`,"inboxPrefix":"_INBOX_u"`), batch(1, 2)))
}

// What the stream lacks is said.
func TestWarnings(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	c := client(t, urlOf(s))
	create(t, c, func(cfg *js.StreamConfig) { cfg.Storage, cfg.MaxMsgs = js.MemoryStorage, 1000 })
	out := open(t, factory(t, nil), urlOf(s), "")
	require.Empty(t, out.(sink.Advising).Warnings(), "nothing is known before the first connection")
	require.NoError(t, send(t, out, batch(1, 1)))
	for _, want := range []string{"is kept in memory", "has one replica", "drops its oldest messages"} {
		require.True(t, warned(out, want), want)
	}
	require.False(t, warned(out, "sync_interval"))
	_, err := c.CreateStream(t.Context(), js.StreamConfig{Name: "DISK", Subjects: []string{"disk.>"}, Retention: js.WorkQueuePolicy, MaxMsgs: 1000, MaxAge: time.Hour})
	require.NoError(t, err)
	out = open(t, factory(t, nil), urlOf(s), `"stream":"DISK","subject":"disk.x"`)
	require.NoError(t, send(t, out, batch(1, 1)))
	for _, want := range []string{"sync_interval", "drops its oldest", "drops messages after 1h0m0s"} {
		require.True(t, warned(out, want), want)
	}
	_, err = c.CreateStream(t.Context(), js.StreamConfig{Name: "GUESTS", Subjects: []string{"guests.>"}, Retention: js.InterestPolicy})
	require.NoError(t, err)
	out = open(t, factory(t, nil), urlOf(s), `"stream":"GUESTS","subject":"guests.x"`)
	require.NoError(t, send(t, out, batch(1, 1)))
	require.True(t, warned(out, "keeps nothing while it has no consumer"))
	require.False(t, warned(out, "drops"))
}
