package fabric

import (
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

// Config says how to reach a Fabric network and who signs.
type Config struct {
	// Profile is the path of a connection profile, YAML or JSON.
	Profile string `json:"profile" yaml:"profile"`
	// MSPID is the organisation whose peers are asked, and of wallet identities that name none.
	MSPID string `json:"mspID" yaml:"mspID"`
	// Channels that may be used. The first one is meant where a request or a filter names none.
	Channels []string `json:"channels" yaml:"channels"`
	// Wallet is a directory with one sub-directory per identity: cert.pem, key.pem, and optionally mspid.
	Wallet string `json:"wallet" yaml:"wallet"`
	// Identity reads blocks, and signs queries that name nobody.
	Identity string `json:"identity" yaml:"identity"`
	// EndorseAt is EndorseAtAccept (default) or EndorseAtSubmit.
	EndorseAt string   `json:"endorseAt" yaml:"endorseAt"`
	Timeouts  Timeouts `json:"timeouts" yaml:"timeouts"`
}

// Timeouts bound each kind of call to a peer. 0 is the default.
type Timeouts struct {
	Endorse      time.Duration `json:"endorse" yaml:"endorse"`           // default 30 s
	Submit       time.Duration `json:"submit" yaml:"submit"`             // default 30 s
	Evaluate     time.Duration `json:"evaluate" yaml:"evaluate"`         // queries; default 30 s
	CommitStatus time.Duration `json:"commitStatus" yaml:"commitStatus"` // looking a transaction or a block up; default 2 m
}

// withDefaults fills in what is not set and refuses what cannot work.
func (c Config) withDefaults() (Config, error) {
	for key, value := range map[string]string{
		"profile": c.Profile, "mspID": c.MSPID, "wallet": c.Wallet, "identity": c.Identity,
	} {
		if value == "" {
			return c, fmt.Errorf("fabric.%s: must be set", key)
		}
	}
	if len(c.Channels) == 0 {
		return c, errors.New("fabric.channels: must name at least one channel")
	}
	if slices.Contains(c.Channels, "") {
		return c, errors.New("fabric.channels: a channel has no name")
	}
	c.Channels = slices.Clone(c.Channels)
	if c.EndorseAt == "" {
		c.EndorseAt = EndorseAtAccept
	}
	if c.EndorseAt != EndorseAtAccept && c.EndorseAt != EndorseAtSubmit {
		return c, fmt.Errorf("fabric.endorseAt: %q is not supported, use %q or %q", c.EndorseAt, EndorseAtAccept, EndorseAtSubmit)
	}
	for _, t := range []struct {
		key   string
		value *time.Duration
		def   time.Duration
	}{
		{"endorse", &c.Timeouts.Endorse, 30 * time.Second},
		{"submit", &c.Timeouts.Submit, 30 * time.Second},
		{"evaluate", &c.Timeouts.Evaluate, 30 * time.Second},
		{"commitStatus", &c.Timeouts.CommitStatus, 2 * time.Minute},
	} {
		if *t.value == 0 {
			*t.value = t.def
		}
		if *t.value < 0 {
			return c, fmt.Errorf("fabric.timeouts.%s: %v must be more than 0", t.key, *t.value)
		}
	}
	return c, nil
}
