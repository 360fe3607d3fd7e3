package broker

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// decode puts the fields of a JSON object over a struct: null brings back a field's value in none, a struct that a field points to is
// gone through in the same way. Errors name the field and show no value, which may be a secret.
func decode(path, example string, raw json.RawMessage, to, none any) error {
	return fields(path, example, raw, reflect.ValueOf(to).Elem(), reflect.ValueOf(none))
}

func fields(path, example string, raw json.RawMessage, to, none reflect.Value) error {
	var given map[string]json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		return apitypes.Invalidf(path, example, "must be an object")
	}
	known := make(map[string]int)
	var names []string
	for i := range to.NumField() {
		name, _, _ := strings.Cut(to.Type().Field(i).Tag.Get("json"), ",")
		known[name] = i
		names = append(names, name)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		i, ok := known[name]
		field := strings.TrimPrefix(path+"."+name, ".")
		if !ok {
			return apitypes.Invalidf(field, "use "+strings.Join(names, ", "), "is not a field here")
		}
		if err := value(field, given[name], to.Field(i), none.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

func value(field string, raw json.RawMessage, to, none reflect.Value) error {
	if string(raw) == "null" {
		to.Set(none)
		return nil
	}
	if to.Kind() == reflect.Pointer && to.Type().Elem().Kind() == reflect.Struct {
		inner := reflect.New(to.Type().Elem())
		if !to.IsNil() {
			inner.Elem().Set(to.Elem())
		}
		if err := fields(field, "give an object", raw, inner.Elem(), reflect.Zero(inner.Elem().Type())); err != nil {
			return err
		}
		to.Set(inner)
		return nil
	}
	fresh := reflect.New(to.Type())
	if json.Unmarshal(raw, fresh.Interface()) != nil {
		return apitypes.Invalidf(field, "must be "+described(to.Type()), "is something else")
	}
	to.Set(fresh.Elem())
	return nil
}

// described says in words what a field takes.
func described(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch kind := t.Kind(); {
	case t.Name() == "FFDuration":
		return `a duration such as "30s"`
	case kind == reflect.String:
		return "text"
	case kind == reflect.Bool:
		return "true or false"
	case kind == reflect.Slice:
		return "a list of " + many(t.Elem())
	case kind == reflect.Map:
		return "an object of " + many(t.Elem())
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64:
		return "a whole number"
	}
	return fmt.Sprintf("a %s", t.Kind())
}

func many(t reflect.Type) string {
	if t.Kind() == reflect.String {
		return "texts"
	}
	return "values"
}
