package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Options make a Server. Zero values mean what the comments say.
type Options struct {
	AckTimeout   time.Duration // 0: 2 minutes
	PingInterval time.Duration // 0: 30 s; a silent peer is cut off after twice that
	WriteTimeout time.Duration // 0: 10 s
	ReadLimit    int64         // bytes in a message of a client; 0: 1 MiB
	Origins      []string      // origins of web pages that may connect besides the server's own; "*" for all

	// Exists tells whether there is a stream of that name, for streams whose sink is not open here. nil: there are no others.
	Exists func(ctx context.Context, stream string) bool
	Now    func() time.Time // nil: time.Now
	Log    *logrus.Entry    // nil: the standard logger
}

const (
	defaultAckTimeout   = 2 * time.Minute
	defaultPingInterval = 30 * time.Second
	defaultWriteTimeout = 10 * time.Second
	defaultReadLimit    = 1 << 20

	maxAckTimeout  = 30 * 24 * time.Hour // so that doubling it cannot overflow
	maxConnections = 10000
	maxTopics      = 1000 // that one connection listens to
	maxWindow      = 1000
	maxNameLength  = 256      // bytes in the name of a stream
	maxErrorText   = 1 << 10  // bytes in what an error frame says
	maxErrors      = 256      // error frames that wait for one client
	maxReplyBytes  = 16 << 20 // of replies that wait for one client
	existsTimeout  = 10 * time.Second
)

func (o *Options) complete() {
	if o.AckTimeout <= 0 {
		o.AckTimeout = defaultAckTimeout
	}
	o.AckTimeout = min(o.AckTimeout, maxAckTimeout)
	if o.PingInterval <= 0 {
		o.PingInterval = defaultPingInterval
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = defaultWriteTimeout
	}
	if o.ReadLimit <= 0 {
		o.ReadLimit = defaultReadLimit
	}
	if o.Exists == nil {
		o.Exists = func(context.Context, string) bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = logrus.NewEntry(logrus.StandardLogger())
	}
}

// validate checks the configuration of a stream of type websocket.
func validate(raw json.RawMessage) (json.RawMessage, error) {
	var cfg struct {
		DistributionMode     string `json:"distributionMode"`
		WorkloadDistribution string `json:"workloadDistribution"` // alias of older clients
	}
	if len(raw) > 0 && string(raw) != "null" {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&cfg); err != nil {
			return nil, apitypes.Invalidf("", `give {"distributionMode": "load_balance"}`, "is wrong: %s", strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	field, mode := "distributionMode", cfg.DistributionMode
	if mode == "" && cfg.WorkloadDistribution != "" {
		field, mode = "workloadDistribution", cfg.WorkloadDistribution
	}
	switch strings.ToLower(mode) {
	case "", apitypes.LoadBalance:
	case apitypes.Broadcast:
		return nil, apitypes.Invalidf(field, `use "load_balance" and a stream for each client that is to get all events`, "is %q, which this server does not have", mode)
	default:
		return nil, apitypes.Invalidf(field, `must be "load_balance"`, "is %q", mode)
	}
	return json.Marshal(apitypes.WebSocketConfig{DistributionMode: apitypes.LoadBalance})
}
