package api

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/internal/closest"
	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// shape says what an object in a body is, beyond the fields of its Go type.
type shape struct {
	of     string   // for errors: "an event stream"
	ignore []string // fields of the answer that a request may repeat, but cannot set
}

// bind decodes the members of a valid object into the fields of the struct that dst points to, one by one, so that an error names
// its field. Unknown fields are refused. null leaves a field unset; of a repeated field the last counts.
func bind(raw []byte, dst any, s shape) error {
	v := reflect.ValueOf(dst).Elem()
	fields := make(map[string]reflect.Value)
	collect(v, fields)
	return eachMember(raw, func(m member) error {
		f, known := fields[m.name]
		switch {
		case known:
			return bindField(m.name, m.value, f)
		case slices.Contains(s.ignore, m.name):
			return nil
		}
		names := make([]string, 0, len(fields))
		for name := range fields {
			names = append(names, name)
		}
		return unknownField(s.of, m.name, names)
	})
}

// collect finds the fields of a struct by their names in JSON.
func collect(v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			collect(v.Field(i), into)
		} else if name != "" && name != "-" {
			into[name] = v.Field(i)
		}
	}
}

func bindField(name string, raw json.RawMessage, f reflect.Value) error {
	if isNull(raw) {
		f.SetZero()
		return nil
	}
	if f.Type() == reflect.TypeFor[*fftypes.UUID]() && string(raw) == `""` {
		f.SetZero() // FireFly sends an empty id with what it creates
		return nil
	}
	fresh := reflect.New(f.Type()) // not into what a repeated field left behind
	if err := json.Unmarshal(raw, fresh.Interface()); err != nil {
		return apitypes.Invalidf(name, wanted(f.Type()), "is %s", show(raw))
	}
	f.Set(fresh.Elem())
	return nil
}

// wanted says what a field takes.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[*fftypes.UUID]():
		return "give a UUID"
	case reflect.TypeFor[*fftypes.FFTime]():
		return "give a time such as 2026-01-31T12:00:00Z"
	case reflect.TypeFor[*fftypes.FFDuration]():
		return `give a duration such as "500ms" or "30s", or a number of milliseconds`
	case reflect.TypeFor[*apitypes.BlockNumber]():
		return `give "earliest", "latest" or a block number`
	case reflect.TypeFor[*apitypes.EndBlock]():
		return `give a block number or "none"`
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "give a string"
	case reflect.Bool:
		return "give true or false"
	case reflect.Slice:
		return "give an array"
	case reflect.Uint64:
		return "give a whole number"
	default:
		return fmt.Sprintf("give a %s", t.Kind())
	}
}

func unknownField(of, name string, known []string) error {
	hint := "it has no fields"
	if len(known) > 0 {
		hint = fmt.Sprintf("the closest is %q", closest.To(name, known, "."))
	}
	return newError(msgs.UnknownField, fmt.Sprintf("%q", clip(name)), of, hint)
}
