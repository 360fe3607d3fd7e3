package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Config is the section "websockets" of the configuration.
type Config struct {
	MaxConnections int           `json:"maxConnections"`
	MaxStreams     int           `json:"maxStreams"`     // that one connection listens to
	MaxMessageSize int64         `json:"maxMessageSize"` // bytes
	PingInterval   time.Duration `json:"pingInterval"`
	WriteTimeout   time.Duration `json:"writeTimeout"`
}

// Options make a Server. Zero values mean what the comments say.
type Options struct {
	AckTimeout   time.Duration // 0: 2 minutes
	PingInterval time.Duration // 0: 30 s; a silent peer is cut off after twice that
	WriteTimeout time.Duration // 0: 10 s
	ReadLimit    int64         // bytes in a message of a client; 0: 1 MiB

	MaxConnections int // 0: 10000
	MaxTopics      int // streams that one connection listens to; 0: 1000

	Origins []string // origins of web pages that may connect besides the server's own; "*" for all

	// Find looks up a stream whose sink is not open here, by id or name, and returns it with its type, "" if there is none.
	// nil: there are no others.
	Find func(ctx context.Context, idOrName string) (s sink.Stream, kind string, err error)
	Now  func() time.Time // nil: time.Now
	Log  *logrus.Entry    // nil: the standard logger
}

const (
	defaultAckTimeout   = 2 * time.Minute
	defaultPingInterval = 30 * time.Second
	defaultWriteTimeout = 10 * time.Second
	defaultReadLimit    = 1 << 20
	defaultConnections  = 10000
	defaultTopics       = 1000

	maxAckTimeout = 30 * 24 * time.Hour // so that doubling it cannot overflow
	maxWindow     = 1000
	maxNameLength = 256      // bytes in the name of a stream
	maxErrorText  = 1 << 10  // bytes in what an error frame says
	maxErrors     = 256      // error frames that wait for one client
	maxReplyBytes = 16 << 20 // of replies that wait for one client
	findTimeout   = 10 * time.Second
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
	if o.MaxConnections <= 0 {
		o.MaxConnections = defaultConnections
	}
	if o.MaxTopics <= 0 {
		o.MaxTopics = defaultTopics
	}
	if o.Find == nil {
		o.Find = func(context.Context, string) (sink.Stream, string, error) { return sink.Stream{}, "", nil }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = logrus.NewEntry(logrus.StandardLogger())
	}
}

// validate checks the configuration of a stream of type websocket, and fills it in.
func validate(raw json.RawMessage) (json.RawMessage, error) {
	mode, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return json.Marshal(apitypes.WebSocketConfig{DistributionMode: mode})
}

// parse returns the distribution mode of a configuration.
func parse(raw json.RawMessage) (mode string, err error) {
	var cfg struct {
		DistributionMode     string `json:"distributionMode"`
		WorkloadDistribution string `json:"workloadDistribution"` // alias of older clients
	}
	const fix = `must be "load_balance", "broadcast" or "parallel"`
	if len(raw) > 0 && string(raw) != "null" {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&cfg); err != nil {
			return "", apitypes.Invalidf("", `give {"distributionMode": "load_balance"}`, "is wrong: %s", strings.TrimPrefix(err.Error(), "json: "))
		}
	}
	field, given := "distributionMode", cfg.DistributionMode
	if given == "" && cfg.WorkloadDistribution != "" {
		field, given = "workloadDistribution", cfg.WorkloadDistribution
	}
	switch mode := strings.ToLower(given); mode {
	case "":
		return apitypes.LoadBalance, nil
	case apitypes.LoadBalance, apitypes.Broadcast, apitypes.Parallel:
		return mode, nil
	default:
		return "", apitypes.Invalidf(field, fix, "is %q", given)
	}
}
