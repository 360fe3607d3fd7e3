package config

import (
	"encoding/json"
	"reflect"
)

// JSON writes a part of the tree as a JSON object with the names that files use: how a plug-in gets its own section. Durations are
// in nanoseconds and sizes in bytes.
func JSON(section any) (json.RawMessage, error) {
	return json.Marshal(asMap(reflect.ValueOf(section)))
}

func asMap(v reflect.Value) map[string]any {
	m := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		name, field := v.Type().Field(i).Tag.Get("key"), v.Field(i)
		if field.Kind() == reflect.Struct {
			m[name] = asMap(field)
		} else {
			m[name] = field.Interface()
		}
	}
	return m
}
