package fabric

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// When peers endorse.
const (
	EndorseAtAccept = "accept" // in Prepare, so that a refusal of the chaincode is told to the caller at once
	EndorseAtSubmit = "submit" // in Submit, so that Prepare works while peers are away
)

// Config says how to reach a Fabric network and who signs. Certificates and keys are given as PEM, as the path of a file, or as a
// reference to a secret (see source).
type Config struct {
	// Profile is the path of a connection profile, YAML or JSON. Either it or Peers is set.
	Profile string `json:"profile" yaml:"profile"`
	// Peers are the peers to work with, the preferred one first.
	Peers Peers `json:"peers" yaml:"peers"`
	// MSPID is the organisation whose peers are asked, and of identities that name none.
	MSPID string `json:"mspID" yaml:"mspID"`
	// Channels that may be used. The first one is meant where a request or a filter names none.
	Channels []string `json:"channels" yaml:"channels"`
	// Wallet is a directory with one sub-directory per identity: cert.pem, key.pem, and optionally mspid.
	Wallet string `json:"wallet" yaml:"wallet"`
	// Identities are there beside those of the wallet.
	Identities Identities `json:"identities" yaml:"identities"`
	// Identity reads blocks, and signs queries that name nobody.
	Identity string `json:"identity" yaml:"identity"`
	// EndorseAt is EndorseAtAccept (default) or EndorseAtSubmit.
	EndorseAt string `json:"endorseAt" yaml:"endorseAt"`
	// TransientRetention is how long peers certainly keep the private data of what they have endorsed; default 5 minutes.
	TransientRetention time.Duration `json:"transientRetention" yaml:"transientRetention"`
	TLS                TLS           `json:"tls" yaml:"tls"`
	Timeouts           Timeouts      `json:"timeouts" yaml:"timeouts"`
	Backoff            Backoff       `json:"backoff" yaml:"backoff"`
}

// Peer is one peer.
type Peer struct {
	Name          string `json:"name" yaml:"name"`                   // for people; default: host and port
	URL           string `json:"url" yaml:"url"`                     // grpcs://host:port, or grpc://host:port without TLS
	TLSServerName string `json:"tlsServerName" yaml:"tlsServerName"` // what its certificate must be for; default: the host
	TLSCACert     string `json:"tlsCACert" yaml:"tlsCACert"`         // who issued it; default: tlscacerts of the MSP directories
}

// Identity is who may sign: an MSP directory, or a certificate and its key.
type Identity struct {
	Name        string `json:"name" yaml:"name"`
	MSPID       string `json:"mspID" yaml:"mspID"` // default: Config.MSPID
	MSPDir      string `json:"mspDir" yaml:"mspDir"`
	Certificate string `json:"certificate" yaml:"certificate"`
	PrivateKey  string `json:"privateKey" yaml:"privateKey"`
}

// Peers is a list of peers. Fields that are not known are refused.
type Peers []Peer

// UnmarshalJSON implements json.Unmarshaler.
func (p *Peers) UnmarshalJSON(b []byte) (err error) {
	*p, err = strictItems[Peer]("fabric.peers", b)
	return err
}

// Identities is a list of identities. Fields that are not known are refused.
type Identities []Identity

// UnmarshalJSON implements json.Unmarshaler.
func (l *Identities) UnmarshalJSON(b []byte) (err error) {
	*l, err = strictItems[Identity]("fabric.identities", b)
	return err
}

func strictItems[T any](field string, b []byte) ([]T, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(b, &raws); err != nil {
		return nil, fmt.Errorf("%s: must be a list of objects", field)
	}
	out := make([]T, len(raws))
	for i, raw := range raws {
		if err := strictJSON(fmt.Sprintf("%s[%d]", field, i), raw, &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// TLS is who connects, for peers that ask for a certificate.
type TLS struct {
	ClientCertificate string `json:"clientCertificate" yaml:"clientCertificate"`
	ClientKey         string `json:"clientKey" yaml:"clientKey"`
}

// Timeouts bound each kind of call to a peer. 0 is the default.
type Timeouts struct {
	Connect      time.Duration `json:"connect" yaml:"connect"`           // a connection, TLS included; default 3 s
	Silence      time.Duration `json:"silence" yaml:"silence"`           // a sign of life while something is under way; default 4 s
	Endorse      time.Duration `json:"endorse" yaml:"endorse"`           // default 30 s
	Submit       time.Duration `json:"submit" yaml:"submit"`             // default 30 s
	Evaluate     time.Duration `json:"evaluate" yaml:"evaluate"`         // queries; default 30 s
	CommitStatus time.Duration `json:"commitStatus" yaml:"commitStatus"` // looking a transaction or a block up; default 2 m
}

// Backoff is how long a peer that failed is left alone: a random part of Initial, which doubles with each failure up to Max. 0 is the default.
type Backoff struct {
	Initial time.Duration `json:"initial" yaml:"initial"` // default 250 ms
	Max     time.Duration `json:"max" yaml:"max"`         // default 30 s
}

// check refuses what cannot work.
func (c *Config) check() error {
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{c.Profile == "" && len(c.Peers) == 0, "fabric.profile: must be set, or fabric.peers in its place"},
		{c.Profile != "" && len(c.Peers) > 0, "fabric.peers: must not be set with fabric.profile: remove one of them"},
		{c.MSPID == "", "fabric.mspID: must be set"},
		{c.Wallet == "" && len(c.Identities) == 0, "fabric.wallet: must be set, or fabric.identities in its place"},
		{c.Identity == "", "fabric.identity: must be set"},
		{len(c.Channels) == 0, "fabric.channels: must name at least one channel"},
		{slices.Contains(c.Channels, ""), "fabric.channels: a channel has no name"},
		{c.TLS.ClientCertificate == "" && c.TLS.ClientKey != "", "fabric.tls.clientCertificate: must be set with fabric.tls.clientKey"},
		{c.TLS.ClientCertificate != "" && c.TLS.ClientKey == "", "fabric.tls.clientKey: must be set with fabric.tls.clientCertificate"},
		{c.Backoff.Max > 0 && c.Backoff.Initial > c.Backoff.Max, "fabric.backoff.initial: must not be above fabric.backoff.max"},
	} {
		if rule.broken {
			return errors.New(rule.text)
		}
	}
	return nil
}

// withDefaults checks the configuration and fills in what is not set.
func (c Config) withDefaults() (Config, error) {
	if err := c.check(); err != nil {
		return c, err
	}
	c.Channels = slices.Clone(c.Channels)
	if c.EndorseAt == "" {
		c.EndorseAt = EndorseAtAccept
	}
	if c.EndorseAt != EndorseAtAccept && c.EndorseAt != EndorseAtSubmit {
		return c, fmt.Errorf("fabric.endorseAt: %q is not supported, use %q or %q", c.EndorseAt, EndorseAtAccept, EndorseAtSubmit)
	}
	if c.TransientRetention == 0 {
		c.TransientRetention = 5 * time.Minute
	}
	if c.TransientRetention < 0 {
		return c, fmt.Errorf("fabric.transientRetention: %v must be more than 0", c.TransientRetention)
	}
	for _, t := range []struct {
		key   string
		value *time.Duration
		def   time.Duration
	}{
		{"timeouts.connect", &c.Timeouts.Connect, 3 * time.Second},
		{"timeouts.silence", &c.Timeouts.Silence, 4 * time.Second},
		{"timeouts.endorse", &c.Timeouts.Endorse, 30 * time.Second},
		{"timeouts.submit", &c.Timeouts.Submit, 30 * time.Second},
		{"timeouts.evaluate", &c.Timeouts.Evaluate, 30 * time.Second},
		{"timeouts.commitStatus", &c.Timeouts.CommitStatus, 2 * time.Minute},
		{"backoff.initial", &c.Backoff.Initial, 250 * time.Millisecond},
		{"backoff.max", &c.Backoff.Max, max(30*time.Second, c.Backoff.Initial)}, // after the one above
	} {
		if *t.value == 0 {
			*t.value = t.def
		}
		if *t.value < 0 {
			return c, fmt.Errorf("fabric.%s: %v must be more than 0", t.key, *t.value)
		}
	}
	return c, nil
}
