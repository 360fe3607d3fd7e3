package stream

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

const (
	maxNameLength = 256

	maxConfirmations = 10000
	// asConfigured stands for the configured number of confirmations.
	asConfigured = -1
)

// confirmations is how many blocks must follow that of an event before a stream delivers it.
func confirmations(def *store.Stream) int {
	if def.Confirmations == nil {
		return asConfigured
	}
	return *def.Confirmations
}

// checkName refuses names that cannot stand in a path or a message.
func checkName(name string) error {
	const fix = "give a name of 1 to 256 characters without control characters"
	if name == "" {
		return apitypes.Invalidf("name", fix, "is missing")
	}
	if len(name) > maxNameLength || strings.ContainsFunc(name, unicode.IsControl) || strings.TrimSpace(name) != name {
		return apitypes.Invalidf("name", fix+" or spaces around it", "is %q", name)
	}
	return nil
}

// newStreamDef is a stream made of a request and the defaults.
func (m *Manager) newStreamDef(body *apitypes.EventStream) (*store.Stream, error) {
	d := m.opts.Defaults
	def := &store.Stream{
		ID: fftypes.NewUUID().String(), Type: apitypes.StreamWebSocket,
		ErrorHandling: d.ErrorHandling, BatchSize: d.BatchSize, BatchTimeout: d.BatchTimeout,
		RetryTimeout: d.RetryTimeout, BlockedRetryDelay: d.BlockedRetryDelay,
	}
	if body.Name == nil {
		return nil, checkName("")
	}
	if err := m.apply(def, body, true); err != nil {
		return nil, err
	}
	now := m.opts.Now()
	def.Created, def.Updated = now, now
	return def, nil
}

// apply overwrites what the request says, and checks it.
func (m *Manager) apply(def *store.Stream, body *apitypes.EventStream, create bool) error {
	if body.Name != nil {
		if err := checkName(*body.Name); err != nil {
			return err
		}
		def.Name = *body.Name
	}
	if body.Suspended != nil {
		setSuspended(def, *body.Suspended)
	}
	if body.ErrorHandling != nil {
		v := strings.ToLower(*body.ErrorHandling)
		if v != apitypes.ErrorHandlingBlock && v != apitypes.ErrorHandlingSkip {
			return apitypes.Invalidf("errorHandling", `must be "block" or "skip"`, "is %q", *body.ErrorHandling)
		}
		def.ErrorHandling = v
	}
	if body.BatchSize != nil {
		if *body.BatchSize < 1 || *body.BatchSize > maxBatchSize {
			return apitypes.Invalidf("batchSize", fmt.Sprintf("must be 1 to %d", maxBatchSize), "is %d", *body.BatchSize)
		}
		def.BatchSize = int(*body.BatchSize)
	}
	if n := body.Confirmations; n != nil {
		if *n < asConfigured || *n > maxConfirmations {
			return apitypes.Invalidf("confirmations", fmt.Sprintf("must be 0 to %d, or %d for the configured number", maxConfirmations, asConfigured), "is %d", *n)
		}
		if def.Confirmations = n; *n == asConfigured {
			def.Confirmations = nil
		}
	}
	return errors.Join(
		duration(&def.BatchTimeout, "batchTimeout", body.BatchTimeout, "batchTimeoutMS", body.BatchTimeoutMS, time.Millisecond, 0),
		duration(&def.RetryTimeout, "retryTimeout", body.RetryTimeout, "retryTimeoutSec", body.RetryTimeoutSec, time.Second, 0),
		duration(&def.BlockedRetryDelay, "blockedRetryDelay", body.BlockedRetryDelay, "blockedRetryDelaySec", body.BlockedRetryDelaySec, time.Second, time.Millisecond),
		m.applySink(def, body, create),
		m.applyOutlet(def, body.DeadLetter),
	)
}

const maxDuration = 7 * 24 * time.Hour

// duration takes a duration or, without one, its alias in another unit. What is out of bounds is named as it was sent.
func duration(to *time.Duration, field string, v *fftypes.FFDuration, alias string, n *uint64, unit, least time.Duration) error {
	switch {
	case v != nil:
		d := time.Duration(*v)
		if d < least || d > maxDuration {
			return apitypes.Invalidf(field, fmt.Sprintf("must be %s to %s", least, maxDuration), "is %s", d)
		}
		*to = d
	case n != nil:
		from, end := uint64((least+unit-1)/unit), uint64(maxDuration/unit)
		if *n < from || *n > end {
			return apitypes.Invalidf(alias, fmt.Sprintf("must be %d to %d", from, end), "is %d", *n)
		}
		*to = time.Duration(*n) * unit
	}
	return nil
}

// sinkFields are the fields of a stream that configure its sink, by its type.
func sinkFields(body *apitypes.EventStream) map[string]*json.RawMessage {
	return map[string]*json.RawMessage{
		apitypes.StreamWebSocket: &body.WebSocket, apitypes.StreamWebhook: &body.Webhook,
		apitypes.StreamKafka: &body.Kafka, apitypes.StreamJetStream: &body.JetStream,
		apitypes.StreamSQS: &body.SQS, apitypes.StreamSNS: &body.SNS,
	}
}

// applySink checks the type and the configuration of the sink, which stands in the field named like the type.
func (m *Manager) applySink(def *store.Stream, body *apitypes.EventStream, create bool) error {
	changed := create
	if body.Type != nil {
		v := strings.ToLower(*body.Type)
		if m.sinks[v] == nil {
			return apitypes.Invalidf("type", "must be one of "+strings.Join(slices.Sorted(maps.Keys(m.sinks)), ", "), "is %q, which this server cannot deliver to", *body.Type)
		}
		if v != def.Type {
			def.Type, def.Sink, changed = v, nil, true
		}
	}
	cfg, stored := def.Sink, def.Sink // nothing, when it had another type: its secrets are gone with it
	for name, field := range sinkFields(body) {
		given := *field
		switch {
		case !isSet(given):
		case name != def.Type:
			return apitypes.Invalidf(name, `leave it out, or set "type" to "`+name+`"`, "configures a sink that the stream of type %q does not have", def.Type)
		default:
			cfg, changed = given, true
		}
	}
	f := m.sinks[def.Type]
	if f == nil {
		return apitypes.Invalidf("type", "must be one of "+strings.Join(slices.Sorted(maps.Keys(m.sinks)), ", "), "is %q, which this server cannot deliver to", def.Type)
	}
	if def.Type == apitypes.StreamWebSocket {
		var err error
		if cfg, err = dropTopic(cfg, def.Name); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	var err error
	def.Sink, err = valid(f, cfg, stored)
	return within(def.Type, err)
}

// valid is a configuration as it is to be stored, with the secrets that are stored in the place of their masks.
func valid(f sink.Factory, cfg, stored json.RawMessage) (json.RawMessage, error) {
	if c, ok := f.(sink.Confidential); ok && isSet(stored) {
		var err error
		if cfg, err = c.Keep(cfg, stored); err != nil {
			return nil, err
		}
	}
	return f.Validate(cfg)
}

// within puts the name of an object before the field that an error is about.
func within(object string, err error) error {
	var inv *apitypes.Invalid
	if !errors.As(err, &inv) {
		return err
	}
	field := object
	if inv.Field != "" {
		field += "." + inv.Field
	}
	return &apitypes.Invalid{Field: field, Problem: inv.Problem, Fix: inv.Fix}
}

// isSet says whether a request holds a value: null is none.
func isSet(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// dropTopic takes the topic, an alias of older clients, out of a configuration. A stream's topic is its name.
func dropTopic(cfg json.RawMessage, name string) (json.RawMessage, error) {
	if !isSet(cfg) {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(cfg, &fields); err != nil {
		return nil, apitypes.Invalidf("websocket", "must be an object", "is %s", cfg)
	}
	raw, ok := fields["topic"]
	if !ok {
		return cfg, nil
	}
	var topic string
	if err := json.Unmarshal(raw, &topic); err != nil || topic != "" && topic != name {
		return nil, apitypes.Invalidf("websocket.topic", fmt.Sprintf("leave it out, or make it the stream's name %q", name), "is %s", raw)
	}
	delete(fields, "topic")
	return json.Marshal(fields)
}

// shown is the configuration of a stream's sink as it may be shown.
func (m *Manager) shown(def *store.Stream) json.RawMessage {
	return m.masked(def.Type, def.Sink)
}

func (m *Manager) masked(kind string, cfg json.RawMessage) json.RawMessage {
	f, known := m.sinks[kind]
	switch c, ok := f.(sink.Confidential); {
	case !known:
		return nil // nobody knows what is secret in it
	case ok && isSet(cfg):
		return c.Mask(cfg)
	}
	return cfg
}

// streamBody is a stream as the API shows it.
func (m *Manager) streamBody(def *store.Stream) (*apitypes.EventStream, error) {
	id, err := parseID(def.ID)
	if err != nil {
		return nil, fmt.Errorf("id of stream %q: %w", def.ID, err)
	}
	size := uint64(def.BatchSize)
	batchTimeout, retryTimeout, blocked := fftypes.FFDuration(def.BatchTimeout), fftypes.FFDuration(def.RetryTimeout), fftypes.FFDuration(def.BlockedRetryDelay)
	suspended, name, kind, handling := def.Suspended, def.Name, def.Type, def.ErrorHandling
	body := &apitypes.EventStream{
		ID: id, Created: fftime(def.Created), Updated: fftime(def.Updated),
		Name: &name, Suspended: &suspended, Type: &kind, ErrorHandling: &handling, BatchSize: &size,
		BatchTimeout: &batchTimeout, RetryTimeout: &retryTimeout, BlockedRetryDelay: &blocked,
		Confirmations: def.Confirmations, ManagedBy: managedBy(def.Declared), Undeclared: def.Undeclared,
	}
	if field := sinkFields(body)[def.Type]; field != nil {
		*field = m.shown(def)
	}
	body.DeadLetter = m.shownOutlet(def)
	return body, nil
}

func fftime(t time.Time) *fftypes.FFTime {
	if t.IsZero() {
		return nil
	}
	ft := fftypes.FFTime(t)
	return &ft
}

func parseID(id string) (*fftypes.UUID, error) {
	u, err := uuid.Parse(id)
	return (*fftypes.UUID)(&u), err
}
