package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/pyralis-io/pyralis/internal/closest"
)

// LoadOptions name the layers of a configuration. Each is optional.
type LoadOptions struct {
	Defaults  map[string]any // replace declared defaults, by key: what a command prefers, but a user may change
	File      string         // path of a YAML file
	Env       []string       // "NAME=value" as os.Environ has it; only names that begin with EnvPrefix are read
	Overrides map[string]any // win over everything, by key: the command line
}

// KeyError says what is wrong with one key.
type KeyError struct {
	Key     string // name of the key; empty when the source as a whole is wrong
	Source  string // "pyralis.yaml:7", "PYRALIS_API_PORT" or empty
	Value   string // as given; empty when there is none or it is secret
	Problem string // what is allowed, or what to do
}

func (e *KeyError) Error() string {
	var b strings.Builder
	if e.Source != "" {
		b.WriteString(e.Source + ": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	if e.Value != "" {
		b.WriteString(e.Value + " ")
	}
	b.WriteString(e.Problem)
	return b.String()
}

// entry is what one layer says about one key.
type entry struct {
	source string
	raw    any
}

// loader collects the values of the layers, and all that is wrong with them.
type loader struct {
	keys     []Key
	sections map[string]bool
	byName   map[string]*Key
	values   map[string]entry // by key, of the strongest layer so far
	errs     []error
	bad      map[string]bool // keys with an error of their own
}

// Load reads the layers and returns the checked configuration, or all problems joined, each a *KeyError.
func Load(o LoadOptions) (*Config, error) {
	l := newLoader()
	l.addMap(o.Defaults)
	if o.File != "" {
		l.addFile(o.File)
	}
	l.addEnv(o.Env)
	l.addMap(o.Overrides)

	cfg := new(Config)
	l.fill(cfg)
	for _, r := range rules {
		if !slices.ContainsFunc(r.keys, func(k string) bool { return l.bad[k] }) {
			if key, problem := r.check(cfg); key != "" {
				l.fail(&KeyError{Key: key, Source: l.values[key].source, Problem: problem})
			}
		}
	}
	if err := errors.Join(l.errs...); err != nil {
		return nil, err
	}
	return cfg, nil
}

func newLoader() *loader {
	keys, sections := declared()
	l := &loader{
		keys: keys, sections: make(map[string]bool), byName: make(map[string]*Key),
		values: make(map[string]entry), bad: make(map[string]bool),
	}
	for i := range keys {
		l.byName[keys[i].Name] = &keys[i]
	}
	for _, s := range sections {
		l.sections[s.name] = true
	}
	return l
}

func (l *loader) fail(err *KeyError) {
	l.errs = append(l.errs, err)
	l.bad[err.Key] = true
}

func (l *loader) addMap(values map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if l.byName[name] == nil {
			l.unknown(name, "")
			continue
		}
		l.values[name] = entry{raw: values[name]}
	}
}

func (l *loader) addEnv(env []string) {
	byEnv := make(map[string]string, len(l.keys))
	for _, k := range l.keys {
		byEnv[k.Env] = k.Name
	}
	names := slices.Collect(maps.Keys(byEnv))
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, EnvPrefix) || serviceVariable.MatchString(variable) {
			continue
		}
		key, ok := byEnv[name]
		if !ok {
			l.fail(&KeyError{Source: name, Problem: "is no configuration variable; the closest is " + closest.To(name, names, "_")})
			continue
		}
		l.values[key] = entry{source: name, raw: value}
	}
}

func (l *loader) unknown(name, source string) {
	l.fail(&KeyError{Key: name, Source: source, Problem: "is no configuration key; the closest is " + closest.To(name, slices.Collect(maps.Keys(l.byName)), ".")})
}

// fill puts the values into cfg, or the defaults where there are none.
func (l *loader) fill(cfg *Config) {
	into := reflect.ValueOf(cfg).Elem()
	for i := range l.keys {
		k := &l.keys[i]
		field := into.FieldByIndex(k.index)
		e, given := l.values[k.Name]
		if !given && k.Default == "" {
			if field.Kind() == reflect.Slice {
				field.Set(reflect.MakeSlice(field.Type(), 0, 0))
			}
			continue
		}
		if !given {
			e.raw = k.Default
		}
		v, err := k.value(e.raw)
		if err != nil {
			l.fail(&KeyError{Key: k.Name, Source: e.source, Value: k.show(e.raw), Problem: err.Error()})
			continue
		}
		field.Set(v)
	}
}

// show writes a value for an error: quoted if it is text, cut if it is long, not at all if it is secret.
func (k *Key) show(raw any) string {
	const limit = 80
	if k.Secret {
		return "the value (not shown)"
	}
	if _, ok := raw.(map[string]any); ok {
		return "a section"
	}
	shown := fmt.Sprint(raw)
	if s, ok := raw.(string); ok {
		shown = strconv.Quote(s)
	}
	if len(shown) > limit {
		shown = strings.ToValidUTF8(shown[:limit], "") + "…"
	}
	return shown
}
