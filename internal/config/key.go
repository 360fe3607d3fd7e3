package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// EnvPrefix begins the name of every environment variable that sets a key.
const EnvPrefix = "PYRALIS_"

// Key is the declaration of one configuration key.
type Key struct {
	Name    string   // path in the file, e.g. "api.port"
	Env     string   // environment variable, e.g. "PYRALIS_API_PORT"
	Type    string   // for people: "text", "whole number", "duration", "size", "true or false", "list"
	Default string   // as in the declaration; empty when the key is unset by default
	Enum    []string // the values allowed; nil: any of the type
	Doc     string   // one or more sentences
	Secret  bool     // its value is never shown

	kind     kind
	index    []int // of the field in Config, for reflect
	min, max string
	check    string // name of a check in checks
}

// section is an inner node of the tree.
type section struct {
	name, doc string
}

// Keys lists all keys in the order of the tree.
func Keys() []Key {
	keys, _ := declared()
	return keys
}

// declared reads the declarations off the tags of Config:
//
//	key      name of this step of the path
//	default  in the form a file would use; absent: the zero value
//	enum     allowed values, separated by commas
//	min max  bounds, in the form a file would use, both allowed values themselves
//	check    a further check, see checks
//	secret   "true": the value is never shown
//	doc      the text of config.md
func declared() ([]Key, []section) {
	var keys []Key
	var sections []section
	var walk func(t reflect.Type, prefix string, index []int)
	walk = func(t reflect.Type, prefix string, index []int) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, at := prefix+f.Tag.Get("key"), append(slices.Clone(index), i)
			if f.Type.Kind() == reflect.Struct {
				sections = append(sections, section{name: name, doc: f.Tag.Get("doc")})
				walk(f.Type, name+".", at)
				continue
			}
			keys = append(keys, newKey(f, name, at))
		}
	}
	walk(reflect.TypeFor[Config](), "", nil)
	return keys, sections
}

func newKey(f reflect.StructField, name string, index []int) Key {
	k := Key{
		Name: name, Env: envName(name), Default: f.Tag.Get("default"), Doc: f.Tag.Get("doc"), Secret: f.Tag.Get("secret") == "true",
		kind: kinds[f.Type], index: index, min: f.Tag.Get("min"), max: f.Tag.Get("max"), check: f.Tag.Get("check"),
	}
	k.Type = k.kind.name
	if enum := f.Tag.Get("enum"); enum != "" {
		k.Enum = strings.Split(enum, ",")
	}
	return k
}

func envName(key string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// value turns what a layer holds for this key into the value of its field, and says in the error what is allowed.
func (k *Key) value(raw any) (reflect.Value, error) {
	v, err := k.kind.parse(raw)
	if err != nil {
		return reflect.Value{}, err
	}
	if len(k.Enum) > 0 && !slices.Contains(k.Enum, v.String()) {
		return reflect.Value{}, fmt.Errorf("must be one of %s", strings.Join(k.Enum, ", "))
	}
	if err := k.inRange(v); err != nil {
		return reflect.Value{}, err
	}
	if k.check == "" {
		return v, nil
	}
	if v.Kind() != reflect.Slice {
		return v, checks[k.check](v.String())
	}
	for i := range v.Len() {
		if err := checks[k.check](v.Index(i).String()); err != nil {
			return reflect.Value{}, err
		}
	}
	return v, nil
}

func (k *Key) inRange(v reflect.Value) error {
	below, err := k.beyond(k.min, v, -1)
	if err != nil {
		return err
	}
	above, err := k.beyond(k.max, v, +1)
	if err != nil {
		return err
	}
	switch {
	case !below && !above:
		return nil
	case k.max == "":
		return fmt.Errorf("must be at least %s", k.min)
	case k.min == "":
		return fmt.Errorf("must be at most %s", k.max)
	default:
		return fmt.Errorf("must be from %s to %s", k.min, k.max)
	}
}

// beyond tells whether v lies on the given side of a bound from the declaration.
func (k *Key) beyond(bound string, v reflect.Value, side int) (bool, error) {
	if bound == "" {
		return false, nil
	}
	limit, err := k.kind.parse(bound)
	if err != nil {
		return false, fmt.Errorf("bound %q in its declaration: %w", bound, err)
	}
	if v.Int() < limit.Int() {
		return side < 0, nil
	}
	return side > 0 && v.Int() > limit.Int(), nil
}
