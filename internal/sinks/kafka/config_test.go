package kafka_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/sinks/kafka"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func TestNewNeedsAnEnv(t *testing.T) {
	t.Parallel()
	_, err := kafka.New(nil)
	require.Error(t, err)
}

// What is left out gets a value, and what has several spellings gets one.
func TestDefaults(t *testing.T) {
	t.Parallel()
	f := factory(t, nil)
	require.Equal(t, "kafka", f.Type())
	cfg, err := f.Validate(json.RawMessage(`{"brokers":["h:1"],"topic":"t","sasl":{"mechanism":"plain","username":"u","password":"p"},"createTopic":{},"compression":"ZSTD","format":"JSON","maxMessageSize":0}`))
	require.NoError(t, err)
	require.JSONEq(t, `{"brokers":["h:1"],"topic":"t","compression":"zstd","perMessage":"event","format":"json","maxMessageSize":1048588,"requestTimeout":"30s",
		"sasl":{"mechanism":"PLAIN","username":"u","password":"p"},"createTopic":{"partitions":1,"replication":0}}`, string(cfg))
}

// Each mistake is refused, and named.
func TestBadSettings(t *testing.T) {
	t.Parallel()
	f := factory(t, nil)
	for fields, field := range map[string]string{
		`"brokers":[]`:                     "brokers",
		`"brokers":["kafka"]`:              "brokers[0]",
		`"brokers":["a:1","b:0"]`:          "brokers[1]",
		`"brokers":["169.254.169.254:80"]`: "brokers[0]",
		`"brokers":"h:1"`:                  "brokers",
		`"topic":""`:                       "topic",
		`"topic":"a/b"`:                    "topic",
		`"topic":".."`:                     "topic",
		`"topic":"."`:                      "topic",
		`"topic":"` + strings.Repeat("x", 250) + `"`:  "topic",
		`"topic":".data.kind"`:                        "topic",
		`"topic":"=.["`:                               "topic",
		`"key":".id"`:                                 "key",
		`"key":"=("`:                                  "key",
		`"partition":"-1"`:                            "partition",
		`"partition":"first"`:                         "partition",
		`"partition":"99999999999"`:                   "partition",
		`"partition":3`:                               "partition",
		`"headers":{"":"x"}`:                          "headers",
		`"headers":{"pyralis-stream":"x"}`:            "headers",
		`"headers":{"content-type":"x"}`:              "headers",
		`"headers":{"a":"=["}`:                        "headers.a",
		`"compression":"brotli"`:                      "compression",
		`"acks":"1"`:                                  "acks",
		`"perMessage":"many"`:                         "perMessage",
		`"format":"avro"`:                             "format",
		`"maxMessageSize":10`:                         "maxMessageSize",
		`"maxMessageSize":100000000`:                  "maxMessageSize",
		`"requestTimeout":"1ms"`:                      "requestTimeout",
		`"sasl":{"mechanism":"GSSAPI"}`:               "sasl.mechanism",
		`"sasl":{"mechanism":"PLAIN"}`:                "sasl.username",
		`"sasl":{"mechanism":"PLAIN","username":"u"}`: "sasl.password",
		`"sasl":{"mechanism":"PLAIN","username":"u","password":"env:OTHER"}`: "sasl.password",
		`"sasl":{"mechanism":"PLAIN","username":"u","password":"********"}`:  "sasl.password",
		`"createTopic":{"partitions":-1}`:                                    "createTopic.partitions",
		`"createTopic":{"replication":1000}`:                                 "createTopic.replication",
		`"tls":{"ca":"x"}`:                                                   "tls.ca",
		`"tls":{"certificate":"x"}`:                                          "tls.key",
	} {
		cfg := map[string]json.RawMessage{"brokers": json.RawMessage(`["h:1"]`), "topic": json.RawMessage(`"t"`)}
		require.NoError(t, json.Unmarshal([]byte(`{`+fields+`}`), &cfg))
		raw, err := json.Marshal(cfg)
		require.NoError(t, err)
		_, err = f.Validate(raw)
		require.Error(t, err, fields)
		require.Equal(t, field, fieldOf(t, err), fields)
	}
}

// A stored password goes to the same brokers or some of them, as hidden as before, and nowhere else.
func TestStoredSecretsGoToNoOtherTarget(t *testing.T) {
	t.Parallel()
	f := factory(t, nil)
	stored, err := f.Validate(json.RawMessage(`{"brokers":["a:1","b:1"],"topic":"t","tls":{},"sasl":{"mechanism":"SCRAM-SHA-256","username":"u","password":"canary"}}`))
	require.NoError(t, err)
	require.NotContains(t, string(f.Mask(stored)), "canary")
	for change, kept := range map[string]bool{
		`{"topic":"other"}`:                                                 true,
		`{"brokers":["b:1"]}`:                                               true,
		`{"sasl":{"mechanism":"SCRAM-SHA-512"}}`:                            true,
		`{"brokers":["a:1","c:1"]}`:                                         false,
		`{"tls":null}`:                                                      false,
		`{"tls":{"skipHostVerify":true}}`:                                   false,
		`{"sasl":{"mechanism":"plain"}}`:                                    false,
		`{"brokers":["c:1"],"sasl":{"password":"new"}}`:                     true,
		`{"brokers":["c:1"],"sasl":null}`:                                   true,
		`{"brokers":["c:1"],"sasl":{"password":"` + apitypes.Masked + `"}}`: false,
	} {
		_, err := f.Keep(json.RawMessage(change), stored)
		if kept {
			require.NoError(t, err, change)
			continue
		}
		require.Error(t, err, change)
		require.Equal(t, "sasl.password", fieldOf(t, err), change)
		require.NotContains(t, err.Error(), "canary")
	}
}
