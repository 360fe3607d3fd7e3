package fabric

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
)

// strictJSON reads an object that may be absent. A field that is not known is refused.
func strictJSON(field string, raw json.RawMessage, into any) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	if raw[0] != '{' {
		return invalid(field, "it is not a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid(field, "%s", reason(err, into))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return invalid(field, "there is something after the object")
	}
	return nil
}

// reason is why JSON was refused, without a value of it: it may be secret.
func reason(err error, into any) string {
	var typed *json.UnmarshalTypeError
	if errors.As(err, &typed) {
		what, _, _ := strings.Cut(typed.Value, " ") // "number 12"
		return typed.Field + " cannot be a JSON " + what
	}
	text := strings.TrimPrefix(err.Error(), "json: ")
	if strings.HasPrefix(text, "unknown field") {
		text += ", the known ones are " + strings.Join(fieldNames(into), ", ")
	}
	return text
}

// fieldNames are the names that an object may have which is read into a struct.
func fieldNames(into any) (names []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeOf(into).Elem()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}
