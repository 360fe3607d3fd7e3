package config

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// checks are what a "check" tag can name: they look at one text and say what is allowed.
var checks = map[string]func(string) error{
	"notempty":    checkNotEmpty,
	"host":        checkHost,
	"httpURL":     checkHTTPURL,
	"origin":      checkOrigin,
	"postgresURL": checkPostgresURL,
	"amount":      checkAmount,
	"proxyURL":    checkProxyURL,
}

var wholeNumber = regexp.MustCompile(`^[0-9]+$`)

func checkAmount(s string) error {
	if s != "" && !wholeNumber.MatchString(s) {
		return errors.New("must be a whole number")
	}
	return nil
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

func checkNotEmpty(s string) error {
	if s == "" {
		return errors.New("must not be empty")
	}
	return nil
}

func checkHost(s string) error {
	if net.ParseIP(s) == nil && !hostName.MatchString(s) {
		return errors.New("must be an IP address or a host name, without a port")
	}
	return nil
}

func checkHTTPURL(s string) error {
	if s == "" {
		return nil
	}
	if u, err := url.Parse(s); err != nil || !isHTTP(u) || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be a URL such as https://pyralis.example.com")
	}
	return nil
}

func checkProxyURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "socks5" {
		return errors.New("must be a URL such as http://proxy.example.com:3128 or socks5://proxy.example.com:1080")
	}
	return nil
}

func checkOrigin(s string) error {
	if s == "*" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || !isHTTP(u) || s != u.Scheme+"://"+u.Host {
		return errors.New("must hold origins such as https://app.example.com, without a path, or *")
	}
	return nil
}

func isHTTP(u *url.URL) bool {
	return (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

func checkPostgresURL(s string) error {
	if s == "" {
		return nil
	}
	if u, err := url.Parse(s); err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return errors.New("must be a URL such as postgres://user:password@host:5432/database")
	}
	return nil
}

// rule is a check across keys. It is asked when each of them is fine by itself, and names the key to change, or none.
type rule struct {
	keys  []string
	check func(*Config) (key, problem string)
}

var rules = []rule{
	{[]string{"store.type", "store.postgres.url"}, func(c *Config) (string, string) {
		return when(c.Store.Type == StorePostgres && c.Store.Postgres.URL == "", "store.postgres.url", "must be set with \"store.type: postgres\"")
	}},
	{[]string{"api.requestTimeout", "api.maxRequestTimeout"}, func(c *Config) (string, string) {
		return when(c.API.RequestTimeout > c.API.MaxRequestTimeout, "api.requestTimeout", "must not be above api.maxRequestTimeout")
	}},
	grows("policies.simple.backoff", func(c *Config) (initial, longest time.Duration) {
		return c.Policies.Simple.Backoff.Initial, c.Policies.Simple.Backoff.Max
	}),
	grows("policies.fabric.backoff", func(c *Config) (initial, longest time.Duration) {
		return c.Policies.Fabric.Backoff.Initial, c.Policies.Fabric.Backoff.Max
	}),
	grows("policies.fabric.conflictBackoff", func(c *Config) (initial, longest time.Duration) {
		return c.Policies.Fabric.ConflictBackoff.Initial, c.Policies.Fabric.ConflictBackoff.Max
	}),
	{[]string{"policies.simple.bump.percent", "policies.simple.bump.max"}, func(c *Config) (string, string) {
		b := c.Policies.Simple.Bump
		return when(b.Percent > 0 && strings.Trim(b.Max, "0") == "", "policies.simple.bump.max", "must be set, and above 0, with policies.simple.bump.percent")
	}},
	{[]string{"devledger.synthetic.historyBlocks", "devledger.synthetic.eventBlocks"}, func(c *Config) (string, string) {
		s := c.DevLedger.Synthetic
		return when(s.EventBlocks > s.HistoryBlocks, "devledger.synthetic.eventBlocks", "must not be above devledger.synthetic.historyBlocks")
	}},
	{[]string{"devledger.faults.reorganiseEvery", "devledger.finality"}, func(c *Config) (string, string) {
		d := c.DevLedger
		return when(d.Faults.ReorganiseEvery > 0 && d.Finality != "confirmations", "devledger.faults.reorganiseEvery", "needs devledger.finality: confirmations")
	}},
	{[]string{"devledger.gasPrice", "devledger.sequenced"}, func(c *Config) (string, string) {
		return when(c.DevLedger.GasPrice > 0 && !c.DevLedger.Sequenced, "devledger.gasPrice", "needs devledger.sequenced: true")
	}},
	{[]string{"devledger.balance", "devledger.sequenced"}, func(c *Config) (string, string) {
		return when(c.DevLedger.Balance > 0 && !c.DevLedger.Sequenced, "devledger.balance", "needs devledger.sequenced: true")
	}},
	{[]string{"webhooks.tls.certFile", "webhooks.tls.keyFile"}, func(c *Config) (string, string) {
		t := c.Webhooks.TLS
		if t.CertFile == "" {
			return when(t.KeyFile != "", "webhooks.tls.certFile", "must be set with webhooks.tls.keyFile")
		}
		return when(t.KeyFile == "", "webhooks.tls.keyFile", "must be set with webhooks.tls.certFile")
	}},
	{[]string{"api.cors.origins"}, func(c *Config) (string, string) {
		o := c.API.CORS.Origins
		return when(len(o) > 1 && slices.Contains(o, "*"), "api.cors.origins", "must hold either * or a list of origins")
	}},
	{[]string{"connector", "fabric.profile", "fabric.peers"}, func(c *Config) (string, string) {
		f := c.Fabric
		if f.Profile != "" {
			return when(len(f.Peers) > 0, "fabric.peers", "must not be set with fabric.profile: remove one of them")
		}
		return when(c.Connector == ConnectorFabric && len(f.Peers) == 0, "fabric.profile", "must be set with \"connector: fabric\", or fabric.peers in its place")
	}},
	needsFabric("fabric.mspID", func(f *Fabric) bool { return f.MSPID != "" }),
	needsFabric("fabric.channels", func(f *Fabric) bool { return len(f.Channels) > 0 }),
	{[]string{"connector", "fabric.wallet", "fabric.identities"}, func(c *Config) (string, string) {
		missing := c.Fabric.Wallet == "" && len(c.Fabric.Identities) == 0
		return when(c.Connector == ConnectorFabric && missing, "fabric.wallet", "must be set with \"connector: fabric\", or fabric.identities in its place")
	}},
	needsFabric("fabric.identity", func(f *Fabric) bool { return f.Identity != "" }),
	{[]string{"fabric.tls.clientCertificate", "fabric.tls.clientKey"}, func(c *Config) (string, string) {
		t := c.Fabric.TLS
		if t.ClientCertificate == "" {
			return when(t.ClientKey != "", "fabric.tls.clientCertificate", "must be set with fabric.tls.clientKey")
		}
		return when(t.ClientKey == "", "fabric.tls.clientKey", "must be set with fabric.tls.clientCertificate")
	}},
	{[]string{"fabric.backoff.initial", "fabric.backoff.max"}, func(c *Config) (string, string) {
		b := c.Fabric.Backoff
		return when(b.Initial > b.Max, "fabric.backoff.initial", "must not be above fabric.backoff.max")
	}},
}

func when(wrong bool, key, problem string) (string, string) {
	if wrong {
		return key, problem
	}
	return "", ""
}

// grows checks that a wait that doubles does not begin above its end.
func grows(section string, of func(*Config) (initial, longest time.Duration)) rule {
	return rule{[]string{section + ".initial", section + ".max"}, func(c *Config) (string, string) {
		initial, longest := of(c)
		return when(initial > longest, section+".initial", "must not be above "+section+".max")
	}}
}

func needsFabric(key string, isSet func(*Fabric) bool) rule {
	return rule{[]string{"connector", key}, func(c *Config) (string, string) {
		return when(c.Connector == ConnectorFabric && !isSet(&c.Fabric), key, "must be set with \"connector: fabric\"")
	}}
}
