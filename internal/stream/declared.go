package stream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
	"github.com/pyralis-io/pyralis/pkg/sink"
)

// Declared is a stream that the configuration declares, with its listeners. They are known by their names.
type Declared struct {
	Stream    *apitypes.EventStream
	Listeners []*apitypes.Listener
}

// reasonUndeclared is why a stream is suspended that the configuration has no longer.
const reasonUndeclared = "it is no longer in the configuration"

// declaration is a declared stream whose settings are fine.
type declaration struct {
	path      string        // where it is declared, e.g. "streams[2]"
	old       *store.Stream // as it is stored; nil: it is new
	def       *store.Stream
	suspended *bool // nil: the declaration does not say, and the stream stays as it is
	listeners []*declaredListener
	gone      []*store.Listener // were declared, and are no longer
}

type declaredListener struct {
	path string          // e.g. "streams[2].listeners[0]"
	old  *store.Listener // as it is stored; nil: it is new
	want *store.Listener
	wait error // why the chain could not resolve it yet
}

// CheckDeclared reports all that is wrong with declared streams, as far as that can be told without the chain and the store. The
// errors name the field, from "streams[0]" on.
func CheckDeclared(sinks []sink.Factory, declared []Declared) error {
	m := &Manager{sinks: make(map[string]sink.Factory)}
	m.opts = Options{Declared: declared, Changes: struct{ store.StatusLog }{}}
	m.opts.defaults()
	for _, f := range sinks {
		m.sinks[f.Type()] = f
	}
	_, err := m.checkDeclared()
	return err
}

// checkDeclared checks the declared streams one by one and against each other.
func (m *Manager) checkDeclared() ([]*declaration, error) {
	var errs []error
	all := make([]*declaration, 0, len(m.opts.Declared))
	paths := make(map[string]string)
	for i, d := range m.opts.Declared {
		c, err := m.checkStream(fmt.Sprintf("streams[%d]", i), d)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, nameOnce(paths, c.path, c.def.Name))
		all = append(all, c)
	}
	return all, errors.Join(errs...)
}

// nameOnce notes where a name is given, and refuses it if it was given before. paths are those of the names so far.
func nameOnce(paths map[string]string, path, name string) error {
	first, twice := paths[name]
	paths[name] = path
	if twice {
		return apitypes.Invalidf(path+".name", "give each a name of its own", "is %q, and so is that of %s", name, first)
	}
	return nil
}

func (m *Manager) checkStream(path string, d Declared) (*declaration, error) {
	c := &declaration{path: path, suspended: d.Stream.Suspended}
	var err error
	if c.def, err = m.newStreamDef(d.Stream); err != nil {
		return nil, inConfig(path, err)
	}
	c.def.Declared = true
	var errs []error
	paths := make(map[string]string)
	for i, body := range d.Listeners {
		l, err := m.checkListener(fmt.Sprintf("%s.listeners[%d]", path, i), body)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, nameOnce(paths, l.path, l.want.Name))
		l.want.StreamID = c.def.ID
		c.listeners = append(c.listeners, l)
	}
	return c, errors.Join(errs...)
}

func (m *Manager) checkListener(path string, body *apitypes.Listener) (*declaredListener, error) {
	if body.Name == nil {
		return nil, inConfig(path, checkName(""))
	}
	kind, err := m.listenerType(body)
	if err != nil {
		return nil, inConfig(path, err)
	}
	l := newListenerDef("", kind)
	if err := applyListener(l, body); err != nil {
		return nil, inConfig(path, err)
	}
	if kind == apitypes.ListenerTransactions {
		if _, _, _, err := parseChangeFilters(l.Filters); err != nil {
			return nil, inConfig(path, err)
		}
	}
	l.DeclaredFrom = l.FromBlock
	return &declaredListener{path: path, want: l}, nil
}

// inConfig says where in the configuration a field is.
func inConfig(path string, err error) error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		var errs []error
		for _, e := range all.Unwrap() {
			errs = append(errs, inConfig(path, e))
		}
		return errors.Join(errs...)
	}
	var inv *apitypes.Invalid
	if errors.As(err, &inv) {
		return &apitypes.Invalid{Field: strings.TrimSuffix(path+"."+inv.Field, "."), Problem: inv.Problem, Fix: inv.Fix}
	}
	for _, field := range []string{"filters", "options", "fromBlock"} { // connectors begin with the field
		if strings.HasPrefix(err.Error(), field) {
			return fmt.Errorf("%s.%w", path, err)
		}
	}
	return fmt.Errorf("%s: %w", path, err)
}

// match takes over what is stored of a stream. Only one that was declared before can be.
func (c *declaration) match(old *store.Stream) error {
	if !old.Declared {
		return apitypes.Invalidf(c.path+".name", "give it another name, or leave it out, and delete that stream over REST first",
			"is %q, which is taken by a stream that was not declared here (id %s)", old.Name, old.ID)
	}
	c.old = old
	def := c.def
	def.ID, def.Seq, def.Epoch, def.Created, def.Updated = old.ID, old.Seq, old.Epoch, old.Created, old.Updated
	def.Suspended, def.SuspendedReason = old.Suspended, old.SuspendedReason
	if old.Undeclared && old.SuspendedReason == reasonUndeclared {
		def.Suspended, def.SuspendedReason = false, ""
	}
	if c.suspended != nil && *c.suspended != def.Suspended {
		def.Suspended, def.SuspendedReason = *c.suspended, ""
	}
	return nil
}

// matchListeners takes over what is stored of the listeners of a declared stream.
func (c *declaration) matchListeners(stored []*store.Listener) error {
	named := make(map[string]*store.Listener, len(stored))
	for _, l := range stored {
		named[l.Name] = l
	}
	var errs []error
	for _, l := range c.listeners {
		l.want.StreamID = c.def.ID
		if old := named[l.want.Name]; old != nil {
			errs = append(errs, l.match(c.def.Name, old))
			delete(named, old.Name)
		}
	}
	for _, l := range stored {
		if named[l.Name] != nil && !l.Undeclared {
			c.gone = append(c.gone, l)
		}
	}
	return errors.Join(errs...)
}

// match takes over what is stored of a listener. What would move its position is refused.
func (l *declaredListener) match(stream string, old *store.Listener) error {
	if old.Type != l.want.Type {
		return apitypes.Invalidf(l.path+".type", "put it back, or give the listener another name", "cannot be changed from %q to %q", old.Type, l.want.Type)
	}
	from := l.want.FromBlock
	if from != old.DeclaredFrom && from != old.FromBlock {
		return apitypes.Invalidf(l.path+".fromBlock", fmt.Sprintf(`put %q back; to deliver again from there, POST {"fromBlock":%q} to /eventstreams/%s/listeners/%s/reset, and change it here after that`,
			old.DeclaredFrom, from, stream, old.Name), "is %q, and was %q: no change of the configuration moves a position", from, old.DeclaredFrom)
	}
	l.old = old
	l.want.ID, l.want.Seq, l.want.Created, l.want.Updated = old.ID, old.Seq, old.Created, old.Updated
	l.want.FromBlock, l.want.Resolved = old.FromBlock, old.Resolved
	return nil
}

// redefined says that the connector has to check the listener.
func (l *declaredListener) redefined() bool { return l.old == nil || !sameListener(l.old, l.want) }

// wrong says that a declaration has to be changed. Everything else may pass: a declared channel may not be there yet.
func wrong(err error) bool {
	var inv *apitypes.Invalid
	switch kind := ffcapi.KindOf(err); {
	case errors.As(err, &inv):
		return true
	default:
		return kind == ffcapi.InvalidInput || kind == ffcapi.Unsupported
	}
}

// declaredError is an apitypes.ErrDeclared with what to do.
type declaredError struct{ text string }

func (e *declaredError) Error() string { return e.text }
func (e *declaredError) Unwrap() error { return apitypes.ErrDeclared }

// refuse keeps requests from changing what the configuration declares.
func refuse(def *store.Stream) error {
	if !def.Declared {
		return nil
	}
	return &declaredError{fmt.Sprintf("stream %q is declared in the configuration: change it there, and start the node again. It can be suspended, resumed and reset here", def.Name)}
}

// managedBy is how the API calls who changes a stream or a listener.
func managedBy(declared bool) string {
	if declared {
		return apitypes.ManagedByConfig
	}
	return ""
}
