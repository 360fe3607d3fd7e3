package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/internal/config"
)

func TestBadFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ yaml, want string }{
		"unknown key":          {"api:\n  prot: 5008", `pyralis.yaml:2: api.prot: is no configuration key; the closest is api.port`},
		"key without section":  {"finality: instant", `pyralis.yaml:1: finality: is no configuration key; the closest is devledger.finality`},
		"wrong section":        {"store: {url: x}", `pyralis.yaml:1: store.url: is no configuration key; the closest is store.postgres.url`},
		"wrong case":           {"api: {publicUrl: x}", `pyralis.yaml:1: api.publicUrl: is no configuration key; the closest is api.publicURL`},
		"unknown section":      {"evenstreams: {readAhead: 2}", `pyralis.yaml:1: evenstreams: is no configuration key; the closest is`},
		"section as value":     {"log: debug", `pyralis.yaml:1: log: is a section: indent its keys under it`},
		"section as list":      {"api: [5008]", `pyralis.yaml:1: api: is a section: indent its keys under it`},
		"value as section":     {"api: {port: {tcp: 1}}", `pyralis.yaml:1: api.port: a section must be a whole number`},
		"given twice":          {"api:\n  port: 1\nlog: {utc: true}\napi:\n  port: 2", `pyralis.yaml:4: api: is given twice, first in line 1`},
		"given twice by path":  {"api.port: 1\napi:\n  port: 2", `pyralis.yaml:3: api.port: is given twice, first in line 1`},
		"merge key":            {"api: {<<: {port: 1}}", `pyralis.yaml:1: api.<<: is no configuration key; the closest is`},
		"no mapping":           {"- api", `pyralis.yaml:1: must hold keys and values`},
		"no yaml":              {"api: {port: 1", `pyralis.yaml: is no valid YAML: line 1:`},
		"two documents":        {"api: {port: 1}\n---\napi: {port: 2}", `pyralis.yaml: holds more than one document; put everything into one`},
		"text for number":      {"api: {port: http}", `pyralis.yaml:1: api.port: "http" must be a whole number`},
		"fraction":             {"api: {port: 80.5}", `pyralis.yaml:1: api.port: 80.5 must be a whole number`},
		"number below":         {"api: {port: -1}", `pyralis.yaml:1: api.port: -1 must be from 0 to 65535`},
		"number above":         {"api: {port: 65536}", `pyralis.yaml:1: api.port: 65536 must be from 0 to 65535`},
		"number far above":     {"api: {port: 18446744073709551615}", `pyralis.yaml:1: api.port: 18446744073709551615 is too large`},
		"negative unsigned":    {"devledger: {synthetic: {historyBlocks: -1}}", `historyBlocks: -1 must be a whole number, 0 or more`},
		"number for text":      {"fabric: {mspID: 0123}", `pyralis.yaml:1: fabric.mspID: 83 must be text; put it in quotes`},
		"text for bool":        {"debug: {enabled: maybe}", `pyralis.yaml:1: debug.enabled: "maybe" must be true or false`},
		"yes for bool":         {"debug: {enabled: yes}", `pyralis.yaml:1: debug.enabled: "yes" must be true or false`},
		"enum":                 {"log: {level: loud}", `pyralis.yaml:1: log.level: "loud" must be one of trace, debug, info, warn, error`},
		"duration":             {"transactions: {deadline: 5 minutes}", `transactions.deadline: "5 minutes" must be a duration such as 250ms, 30s or 1h30m, or a whole number of milliseconds`},
		"negative duration":    {"transactions: {deadline: -5s}", `transactions.deadline: "-5s" must be at least 1s`},
		"endless duration":     {"transactions: {deadline: 9223372036854775807}", `transactions.deadline: 9223372036854775807 is too large`},
		"size":                 {"api: {maxBodySize: 4 megs}", `api.maxBodySize: "4 megs" must be a whole number of bytes, or one with a unit: KiB`},
		"size with fraction":   {"api: {maxBodySize: 1.5MiB}", `api.maxBodySize: "1.5MiB" must be a whole number of bytes`},
		"negative size":        {"api: {maxBodySize: -1}", `api.maxBodySize: -1 must be a whole number of bytes`},
		"size overflow":        {"eventstreams: {maxMemory: 9000000TiB}", `eventstreams.maxMemory: "9000000TiB" is too large`},
		"size below":           {"eventstreams: {maxMemory: 1}", `eventstreams.maxMemory: 1 must be at least 1MiB`},
		"list of numbers":      {"fabric: {channels: [a, 2]}", `fabric.channels: [a 2] must be a list of texts; item 2 is not text, put it in quotes`},
		"list with a hole":     {"fabric: {channels: \"a,,b\"}", `fabric.channels: "a,,b" must not have an empty item`},
		"list as number":       {"fabric: {channels: 7}", `fabric.channels: 7 must be a list of texts`},
		"address with port":    {"api: {address: \"0.0.0.0:5008\"}", `api.address: "0.0.0.0:5008" must be an IP address or a host name, without a port`},
		"public URL":           {"api: {publicURL: example.com}", `api.publicURL: "example.com" must be a URL such as https://pyralis.example.com`},
		"origin with path":     {"api: {cors: {origins: [\"https://a.b/c\"]}}", `api.cors.origins: [https://a.b/c] must hold origins such as`},
		"star among origins":   {"api: {cors: {origins: [\"*\", \"https://a.b\"]}}", `api.cors.origins: must hold either * or a list of origins`},
		"empty path":           {"store: {sqlite: {path: \"\"}}", `store.sqlite.path: "" must not be empty`},
		"proxy with https":     {"webhooks: {proxy: \"https://user:hunter2@proxy.example\"}", `webhooks.proxy: the value (not shown) must be a URL such as http://proxy.example.com:3128`},
		"key without cert":     {"webhooks: {tls: {keyFile: key.pem}}", `webhooks.tls.certFile: must be set with webhooks.tls.keyFile`},
		"cert without key":     {"webhooks: {tls: {certFile: cert.pem}}", `webhooks.tls.keyFile: must be set with webhooks.tls.certFile`},
		"postgres without URL": {"store: {type: postgres}", `store.postgres.url: must be set with "store.type: postgres"`},
		"fabric without MSP":   {"connector: fabric", `fabric.mspID: must be set with "connector: fabric"`},
		"fabric without peers": {"connector: fabric", `fabric.profile: must be set with "connector: fabric", or fabric.peers in its place`},
		"fabric without names": {"connector: fabric", `fabric.wallet: must be set with "connector: fabric", or fabric.identities in its place`},
		"two kinds of peers":   {"fabric: {profile: p, peers: [{url: grpc://a}]}", `fabric.peers: must not be set with fabric.profile: remove one of them`},
		"fabric's bare key":    {"fabric: {tls: {clientKey: k}}", `fabric.tls.clientCertificate: must be set with fabric.tls.clientKey`},
		"fabric's backoff":     {"fabric: {backoff: {initial: 1m}}", `fabric.backoff.initial: must not be above fabric.backoff.max`},
		"a key in the open":    {"fabric: {identities: hunter2}", `fabric.identities: the value (not shown) must be a list of objects`},
		"request timeout":      {"api: {requestTimeout: 20m}", `pyralis.yaml:1: api.requestTimeout: must not be above api.maxRequestTimeout`},
		"backoff":              {"policies: {simple: {backoff: {initial: 1m}}}", `policies.simple.backoff.initial: must not be above policies.simple.backoff.max`},
		"conflict backoff":     {"policies: {fabric: {conflictBackoff: {initial: 1m}}}", `policies.fabric.conflictBackoff.initial: must not be above policies.fabric.conflictBackoff.max`},
		"fabric backoff":       {"policies: {fabric: {backoff: {initial: 1m}}}", `policies.fabric.backoff.initial: must not be above policies.fabric.backoff.max`},
		"bump without max":     {"policies: {simple: {bump: {percent: 10}}}", `policies.simple.bump.max: must be set, and above 0, with policies.simple.bump.percent`},
		"bump to words":        {"policies: {simple: {bump: {percent: 10, max: \"1 gwei\"}}}", `policies.simple.bump.max: "1 gwei" must be a whole number`},
		"event blocks":         {"devledger: {synthetic: {eventBlocks: 1}}", `devledger.synthetic.eventBlocks: must not be above devledger.synthetic.historyBlocks`},
		"endless alias":        {"fabric: {channels: &c [*c]}", `pyralis.yaml:1: fabric.channels: anchor 'c' value contains itself`},
		"objects as map":       {"streams: {name: a}", `pyralis.yaml:1: streams: the value (not shown) must be a list of objects`},
		"objects of texts":     {"streams: [{name: a}, b]", `pyralis.yaml:1: streams: the value (not shown) must be a list of objects; in the environment, a JSON array of them; item 2 is none`},
		"objects of numbers":   {"streams: [{batchSize: .inf}]", `pyralis.yaml:1: streams: the value (not shown) must be a list of objects as in JSON, whose keys are texts; item 1: json`},
		"object by numbers":    {"streams: [{name: {1: a}}]", `pyralis.yaml:1: streams: the value (not shown) must be a list of objects as in JSON, whose keys are texts; item 1: json`},
		"member given twice":   {"streams: [{name: a, name: b}]", `pyralis.yaml:1: streams: unmarshal errors`},
		"endless object":       {"streams: &s [{listeners: *s}]", `pyralis.yaml:1: streams: anchor 's' value contains itself`},
		"endless section":      {"api: &a {cors: *a}", `pyralis.yaml:1: api.cors.cors: is no configuration key`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := config.Load(config.LoadOptions{File: file(t, c.yaml)})
			require.ErrorContains(t, err, c.want)
			require.Nil(t, cfg)
			require.NotContains(t, strings.TrimSuffix(c.want, "\n"), "\n")
		})
	}
}

func check(file string, env []string) error {
	_, err := config.Load(config.LoadOptions{File: file, Env: env})
	return err
}

func TestBadFilePath(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	require.EqualError(t, check(missing, nil), missing+": cannot be read: no such file or directory")
	dir := t.TempDir()
	require.EqualError(t, check(dir, nil), dir+": cannot be read: is a directory")
}

func TestBadEnv(t *testing.T) {
	t.Parallel()
	for variable, want := range map[string]string{
		"PYRALIS_API_PROT=1":        `PYRALIS_API_PROT: is no configuration variable; the closest is PYRALIS_API_PORT`,
		"PYRALIS_=1":                `PYRALIS_: is no configuration variable; the closest is`,
		"PYRALIS_api_port=1":        `PYRALIS_api_port: is no configuration variable; the closest is PYRALIS_API_PORT`,
		"PYRALIS_API=1":             `PYRALIS_API: is no configuration variable; the closest is`,
		"PYRALIS_API_PORT=":         `PYRALIS_API_PORT: api.port: "" must be a whole number`,
		"PYRALIS_API_PORT=99999":    `PYRALIS_API_PORT: api.port: "99999" must be from 0 to 65535`,
		"PYRALIS_API_PORT=1e99":     `PYRALIS_API_PORT: api.port: "1e99" must be a whole number`,
		"PYRALIS_LOG_UTC=2":         `PYRALIS_LOG_UTC: log.utc: "2" must be true or false`,
		"PYRALIS_CONNECTOR=":        `PYRALIS_CONNECTOR: connector: "" must not be empty`,
		"PYRALIS_STREAMS=[{}":       `PYRALIS_STREAMS: streams: the value (not shown) must be a list of objects; in the environment, a JSON array of them`,
		"PYRALIS_STREAMS={}":        `PYRALIS_STREAMS: streams: the value (not shown) must be a list of objects`,
		"PYRALIS_STREAMS=[{}] []":   `PYRALIS_STREAMS: streams: the value (not shown) must be a list of objects`,
		"PYRALIS_STORE_TYPE=oracle": `PYRALIS_STORE_TYPE: store.type: "oracle" must be one of sqlite, postgres`,
	} {
		_, err := config.Load(config.LoadOptions{Env: []string{variable}})
		require.ErrorContains(t, err, want)
	}
}

func TestBadMaps(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.LoadOptions{Defaults: map[string]any{"api.port": 1.5}, Overrides: map[string]any{"api.porto": 1}})
	require.EqualError(t, err, "api.porto: is no configuration key; the closest is api.port\napi.port: 1.5 must be a whole number")
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.LoadOptions{Env: []string{"PYRALIS_STORE_POSTGRES_URL=mysql://u:hunter2@h/db"}})
	require.EqualError(t, err, "PYRALIS_STORE_POSTGRES_URL: store.postgres.url: the value (not shown) must be a URL such as postgres://user:password@host:5432/database")
	_, err = config.Load(config.LoadOptions{File: file(t, "store: {postgres: {url: [hunter2]}}")})
	require.ErrorContains(t, err, "store.postgres.url: the value (not shown) must be text")
	require.NotContains(t, err.Error(), "hunter2")
}

func TestLongValuesAreCut(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.LoadOptions{Env: []string{"PYRALIS_API_PORT=" + strings.Repeat("é", 1000)}})
	require.Error(t, err)
	require.Less(t, len(err.Error()), 200)
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.LoadOptions{
		File: file(t, "api:\n  port: x\n  requestTimeout: y\n  what: 1\n"),
		Env:  []string{"PYRALIS_NOPE=1", "PYRALIS_STORE_TYPE=postgres"},
	})
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	var keys []string
	for _, e := range joined.Unwrap() {
		var problem *config.KeyError
		require.ErrorAs(t, e, &problem)
		keys = append(keys, problem.Key)
	}
	require.Equal(t, []string{"api.what", "", "api.port", "api.requestTimeout", "store.postgres.url"}, keys,
		"and no further complaint about a key that is wrong already")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	path := file(t, "store: {type: postgres}")
	require.ErrorContains(t, check(path, nil), "store.postgres.url")
	require.NoError(t, check(path, []string{"PYRALIS_STORE_POSTGRES_URL=postgres://h/db"}))
	require.NoError(t, os.Remove(path))
	require.ErrorContains(t, check(path, nil), "cannot be read")
}
