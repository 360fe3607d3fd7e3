// Package plugin holds what is compiled into a binary: connectors, submission policies and sinks, each registered by name in a
// [Registry]. Registration is an explicit value: nothing happens at import, and a name given twice is an error at start-up.
//
//	func main() {
//		reg := builtin.Plugins()
//		reg.AddConnector(plugin.Connector{Name: "mychain", New: mychain.New})
//		...
//	}
package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/pkg/policy"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Env is what a plug-in gets when it is made.
type Env struct {
	// Config is the plug-in's own section of the configuration as a JSON object; names as in config.md, durations in
	// nanoseconds. It is {} for a plug-in that has no section there: one of your own gets its settings in the closure that
	// makes it.
	Config json.RawMessage
	// Dir is a directory for the plug-in alone. It may not exist yet.
	Dir string
	Log *logrus.Entry
	// Measure adds a metric; nil: nothing is measured.
	Measure func(Metric) error
}

// Metric is something that a plug-in measures, served with the metrics of the node.
type Metric struct {
	Name, Help string // as Prometheus has them, the name with a prefix of the plug-in's own
	Labels     []string
	Counter    bool // it only grows
	// Read is called at each scrape, and calls emit for each series with a value for each of the labels.
	Read func(emit func(value float64, labels ...string))
}

// Connector makes the connector of one kind of chain.
type Connector struct {
	Name string // value of the key "connector"
	New  func(ctx context.Context, env Env) (ffcapi.Connector, error)
	// Diagnose, where there is one, looks for what lies in the way to the chain. See Check.
	Diagnose func(ctx context.Context, env Env, q Question) []Check
	// Complete, where there is one, returns Env.Config with what it lacks, as far as that can be found out. The error names what has to be given.
	Complete func(ctx context.Context, env Env) (json.RawMessage, error)
}

// Policy makes a submission policy.
type Policy struct {
	Name string // value of the key "transactions.policy"
	New  func(env Env) (policy.Engine, error)
}

// SinkEnv is what a sink gets when it is made.
type SinkEnv struct {
	Env
	// FindStream looks a stream up, by id or name, and returns it with its type, "" if there is none. An error says nothing about the stream.
	FindStream func(ctx context.Context, idOrName string) (s sink.Stream, kind string, err error)
	AckTimeout time.Duration // a receiver has this long to acknowledge a batch
	Origins    []string      // of web pages that may connect; empty: the server's own
	Secrets    Secrets       // resolves references in the settings of streams
}

// Secrets resolves references to secrets, such as env:NAME, that the operator has listed. It is safe for concurrent use.
type Secrets interface {
	// IsReference says whether a text is a reference, allowed or not, and no secret by itself.
	IsReference(text string) bool
	// Check says whether a reference may be resolved. It reads nothing.
	Check(ref string) error
	// Resolve returns what a reference stands for, as it is now. The error does not hold it.
	Resolve(ctx context.Context, ref string) (string, error)
}

// Sink makes the sinks of one type.
type Sink struct {
	Name string // value of a stream's "type"
	New  func(env SinkEnv) (sink.Factory, error)
}

// HTTPSink is a sink factory that receivers reach over HTTP. The node mounts it below the API's address.
type HTTPSink interface {
	sink.Factory
	http.Handler
	// Path is where it is mounted, e.g. "/ws".
	Path() string
}

// Registry is the set of plug-ins of a binary. The zero value is empty and ready.
type Registry struct {
	connectors map[string]Connector
	policies   map[string]Policy
	sinks      map[string]Sink
	errs       []error
}

// AddConnector adds a connector. A name that is taken shows up in Err.
func (r *Registry) AddConnector(c Connector) { add(r, &r.connectors, "connector", c.Name, c) }

// AddPolicy adds a policy.
func (r *Registry) AddPolicy(p Policy) { add(r, &r.policies, "policy", p.Name, p) }

// AddSink adds a sink.
func (r *Registry) AddSink(s Sink) { add(r, &r.sinks, "sink", s.Name, s) }

// Err returns what went wrong while plug-ins were added.
func (r *Registry) Err() error { return errors.Join(r.errs...) }

// Connector finds the connector that the key "connector" names; the error lists the names there are.
func (r *Registry) Connector(name string) (Connector, error) {
	return get(r.connectors, "connector", name)
}

// Policy finds the policy that the key "transactions.policy" names; the error lists the names there are.
func (r *Registry) Policy(name string) (Policy, error) {
	return get(r.policies, "transactions.policy", name)
}

// Sinks returns all sinks, in the order of their names.
func (r *Registry) Sinks() []Sink {
	return slices.SortedFunc(maps.Values(r.sinks), func(a, b Sink) int { return strings.Compare(a.Name, b.Name) })
}

func add[T any](r *Registry, m *map[string]T, kind, name string, v T) {
	if *m == nil {
		*m = make(map[string]T)
	}
	_, taken := (*m)[name]
	switch {
	case name == "":
		r.errs = append(r.errs, fmt.Errorf("a %s is registered without a name", kind))
	case taken:
		r.errs = append(r.errs, fmt.Errorf("%s %q is registered twice", kind, name))
	default:
		(*m)[name] = v
	}
}

func get[T any](m map[string]T, key, name string) (T, error) {
	v, ok := m[name]
	if !ok {
		return v, fmt.Errorf("%s: %q must be one of %s, which is what this binary has", key, name, strings.Join(slices.Sorted(maps.Keys(m)), ", "))
	}
	return v, nil
}
