package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hyperledger/firefly-common/pkg/fftypes"
	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/broker"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// references are those that begin with "ref:"; "ref:no…" are not allowed, and "ref:gone" cannot be resolved.
type references struct{}

func (references) IsReference(text string) bool { return strings.HasPrefix(text, "ref:") }

func (references) Check(ref string) error {
	if strings.HasPrefix(ref, "ref:no") {
		return errors.New(ref + " is not allowed")
	}
	return nil
}

func (references) Resolve(_ context.Context, ref string) (string, error) {
	switch ref {
	case "ref:gone":
		return "", errors.New(ref + " is empty")
	case "ref:away":
		return "", fmt.Errorf("%s: %w", ref, away{})
	}
	return "resolved-" + strings.TrimPrefix(ref, "ref:"), nil
}

// away is the error of a place that cannot be reached now.
type away struct{}

func (away) Error() string   { return "is away" }
func (away) Temporary() bool { return true }

type config struct {
	Address string              `json:"address"`
	Names   []string            `json:"names,omitempty"`
	Limit   int                 `json:"limit"`
	Wait    *fftypes.FFDuration `json:"wait,omitempty"`
	Login   *login              `json:"login,omitempty"`
}

type login struct {
	User     string            `json:"user"`
	Password string            `json:"password"`
	Extra    map[string]string `json:"extra,omitempty"`
}

func settings() *broker.Settings[config] {
	return &broker.Settings[config]{
		Example:  `give {"address": "a"}`,
		Defaults: func() config { return config{Limit: 7} },
		Check: func(c *config) error {
			if c.Address == "" {
				return apitypes.Invalidf("address", "give one", "is missing")
			}
			c.Address = strings.ToLower(c.Address)
			return nil
		},
		Values: func(c *config) []broker.Value {
			if c.Login == nil {
				return nil
			}
			return []broker.Value{{Field: "login.user", Text: &c.Login.User}, {Field: "login.password", Text: &c.Login.Password, Secret: true}}
		},
		Same:       func(c, old *config) bool { return c.Address == old.Address },
		References: references{},
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	s := settings()
	for given, want := range map[string]string{
		`{"address":"A"}`: `{"address":"a","limit":7}`,
		`{"address":"a","limit":null,"names":["x"],"wait":"2s","login":null}`:                    `{"address":"a","limit":7,"names":["x"],"wait":"2s"}`,
		`{"address":"a","limit":3,"login":{"user":"u","password":"ref:pw","extra":{"a":"b"}}}`:   `{"address":"a","limit":3,"login":{"user":"u","password":"ref:pw","extra":{"a":"b"}}}`,
		` { "address" : "a" , "login" : { "password" : "p" , "user" : null } , "names" : null }`: `{"address":"a","limit":7,"login":{"user":"","password":"p"}}`,
	} {
		got, err := s.Validate(json.RawMessage(given))
		require.NoError(t, err, given)
		require.JSONEq(t, want, string(got), given)
	}
	for given, want := range map[string]string{
		``:                                     "address",
		`null`:                                 "address",
		`[]`:                                   "",
		`{"address":"a","port":1}`:             "port",
		`{"address":7}`:                        "address",
		`{"address":"a","names":"x"}`:          "names",
		`{"address":"a","limit":"3"}`:          "limit",
		`{"address":"a","limit":3.5}`:          "limit",
		`{"address":"a","wait":"soon"}`:        "wait",
		`{"address":"a","login":"u"}`:          "login",
		`{"address":"a","login":{"pass":"x"}}`: "login.pass",
		`{"address":"a","login":{"password":{"canary":1}}}`: "login.password",
		`{"address":"a","login":{"password":"********"}}`:   "login.password",
		`{"address":"a","login":{"password":"ref:no"}}`:     "login.password",
		`{"address":"a","login":{"user":"ref:no"}}`:         "login.user",
		`{"Address":"a"}`: "Address",
	} {
		_, err := s.Validate(json.RawMessage(given))
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, given)
		require.Equal(t, want, inv.Field, given)
		require.NotEmpty(t, inv.Fix, given)
		require.NotContains(t, err.Error(), "canary", given)
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	s := settings()
	for stored, shown := range map[string]string{
		`{"address":"a","limit":7}`: `{"address":"a","limit":7}`,
		`{"address":"a","limit":7,"login":{"user":"u","password":"canary"}}`: `{"address":"a","limit":7,"login":{"user":"u","password":"********"}}`,
		`{"address":"a","limit":7,"login":{"user":"u","password":"ref:pw"}}`: `{"address":"a","limit":7,"login":{"user":"u","password":"ref:pw"}}`,
		`{"address":"a","limit":7,"login":{"user":"u","password":""}}`:       `{"address":"a","limit":7,"login":{"user":"u","password":""}}`,
	} {
		require.JSONEq(t, shown, string(s.Mask(json.RawMessage(stored))))
	}
	require.Nil(t, s.Mask(json.RawMessage(`{"canary":1}`)), "nothing is shown of what is not understood")
}

// A stored secret goes nowhere but to the target it was given for.
func TestKeep(t *testing.T) {
	t.Parallel()
	s := settings()
	const secret, ref = `{"address":"a","limit":3,"names":["n"],"login":{"user":"u","password":"canary","extra":{"k":"v"}}}`, `{"address":"a","limit":7,"login":{"user":"u","password":"ref:pw"}}`
	for _, c := range []struct{ stored, given, want string }{
		{secret, `{}`, secret},
		{secret, `{"login":{"password":"********"}}`, secret},
		{secret, `{"limit":null,"names":null}`, `{"address":"a","limit":7,"login":{"user":"u","password":"canary","extra":{"k":"v"}}}`},
		{secret, `{"login":{"user":"w"}}`, `{"address":"a","limit":3,"names":["n"],"login":{"user":"w","password":"canary","extra":{"k":"v"}}}`},
		{secret, `{"login":{"password":"new"}}`, `{"address":"a","limit":3,"names":["n"],"login":{"user":"u","password":"new","extra":{"k":"v"}}}`},
		{secret, `{"login":{"password":null}}`, `{"address":"a","limit":3,"names":["n"],"login":{"user":"u","password":"","extra":{"k":"v"}}}`},
		{secret, `{"login":null,"address":"b"}`, `{"address":"b","limit":3,"names":["n"]}`},
		{secret, `{"address":"b","login":{"password":"new"}}`, `{"address":"b","limit":3,"names":["n"],"login":{"user":"u","password":"new","extra":{"k":"v"}}}`},
		{ref, `{"address":"b"}`, `{"address":"b","limit":7,"login":{"user":"u","password":"ref:pw"}}`},
	} {
		got, err := s.Keep(json.RawMessage(c.given), json.RawMessage(c.stored))
		require.NoError(t, err, c.given)
		require.JSONEq(t, c.want, string(got), c.given)
	}
	for _, c := range []struct{ stored, given, field string }{
		{secret, `{"address":"b"}`, "login.password"},
		{secret, `{"address":"b","login":{"password":"********"}}`, "login.password"},
		{`{"address":"a","limit":7}`, `{"login":{"password":"********"}}`, "login.password"},
		{`{"address":"a","limit":7}`, `{"login":{"password":1}}`, "login.password"},
	} {
		_, err := s.Keep(json.RawMessage(c.given), json.RawMessage(c.stored))
		var inv *apitypes.Invalid
		require.ErrorAs(t, err, &inv, c.given)
		require.Equal(t, c.field, inv.Field)
		require.NotContains(t, err.Error(), "canary")
	}
}

func TestReveal(t *testing.T) {
	t.Parallel()
	s := settings()
	c, err := s.Open(json.RawMessage(`{"address":"a","login":{"user":"ref:user","password":"ref:pw"}}`))
	require.NoError(t, err)
	known, redactor, err := s.Reveal(t.Context(), &c)
	require.NoError(t, err)
	require.Equal(t, login{User: "resolved-user", Password: "resolved-pw"}, *known.Login)
	require.Equal(t, login{User: "ref:user", Password: "ref:pw"}, *c.Login, "what is stored stays a reference")
	cause := errors.New("no")
	require.Equal(t, cause, redactor.Error(cause))
	require.EqualError(t, redactor.Error(errors.New("resolved-user with resolved-pw refused")), "******** with ******** refused")
	require.NoError(t, redactor.Error(nil))
	require.EqualError(t, (*broker.Redactor)(nil).Error(cause), "no")

	c.Login.Password = "ref:gone"
	_, _, err = s.Reveal(t.Context(), &c)
	require.EqualError(t, err, "login.password: ref:gone is empty")
	var inv *apitypes.Invalid
	require.ErrorAs(t, err, &inv)
	require.Equal(t, "login.password", inv.Field)
	require.NotEmpty(t, inv.Fix)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = s.Reveal(ended, &c)
	require.NotErrorAs(t, err, &inv)
	c.Login.Password = "ref:away"
	_, _, err = s.Reveal(t.Context(), &c)
	require.EqualError(t, err, "login.password: ref:away: is away")
	require.NotErrorAs(t, err, &inv, "the reference is fine")
}

func TestNewEnv(t *testing.T) {
	t.Parallel()
	_, err := broker.NewEnv(broker.Config{Allow: []string{"not a host"}}, references{})
	require.ErrorContains(t, err, "brokers.allow")
	_, err = broker.NewEnv(broker.Config{}, nil)
	require.Error(t, err)
}
