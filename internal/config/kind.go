package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes.
type Size int64

// Objects are the items of a list whose form another part of the program knows: each is a JSON object.
type Objects []json.RawMessage

// String writes the size with the largest binary unit that divides it, as a file may have it.
func (s Size) String() string {
	for i := len(sizeUnits) - 1; i > 0; i-- {
		if u := sizeUnits[i]; u.binary && s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

var sizeUnits = []struct {
	name   string
	bytes  Size
	binary bool
}{
	{"B", 1, false},
	{"KB", 1e3, false},
	{"MB", 1e6, false},
	{"GB", 1e9, false},
	{"TB", 1e12, false},
	{"KiB", 1 << 10, true},
	{"MiB", 1 << 20, true},
	{"GiB", 1 << 30, true},
	{"TiB", 1 << 40, true},
}

// kind is a type that keys can have. parse takes what YAML decodes to, or a string from the environment or the command line.
type kind struct {
	name  string
	parse func(raw any) (reflect.Value, error)
}

var kinds = map[reflect.Type]kind{
	reflect.TypeFor[string]():        {"text", with(parseText)},
	reflect.TypeFor[bool]():          {"true or false", with(parseBool)},
	reflect.TypeFor[int]():           {"whole number", with(parseInt)},
	reflect.TypeFor[uint64]():        {"whole number", with(parseUint)},
	reflect.TypeFor[time.Duration](): {"duration", with(parseDuration)},
	reflect.TypeFor[Size]():          {"size", with(parseSize)},
	reflect.TypeFor[[]string]():      {"list", with(parseList)},
	reflect.TypeFor[Objects]():       {"list of objects", with(parseObjects)},
}

// What the kinds allow, as their errors put it.
var (
	errText     = errors.New("must be text; put it in quotes")
	errBool     = errors.New("must be true or false")
	errInt      = errors.New("must be a whole number")
	errUint     = errors.New("must be a whole number, 0 or more")
	errDuration = errors.New("must be a duration such as 250ms, 30s or 1h30m, or a whole number of milliseconds")
	errSize     = errors.New("must be a whole number of bytes, or one with a unit: KiB, MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB (powers of 1000)")
	errList     = errors.New("must be a list of texts")
	errObjects  = errors.New("must be a list of objects; in the environment, a JSON array of them")
	errListItem = errors.New("must not have an empty item")
	errTooLarge = errors.New("is too large")
)

// with makes a parser of a kind: it takes spaces off strings, since an environment often adds some.
func with[T any](parse func(any) (T, error)) func(any) (reflect.Value, error) {
	return func(raw any) (reflect.Value, error) {
		if s, ok := raw.(string); ok {
			raw = strings.TrimSpace(s)
		}
		v, err := parse(raw)
		return reflect.ValueOf(v), err
	}
}

func parseText(raw any) (string, error) {
	if s, ok := raw.(string); ok {
		return s, nil
	}
	return "", errText
}

func parseBool(raw any) (bool, error) {
	switch v := raw.(type) {
	case bool:
		return v, nil
	case string:
		if b, err := strconv.ParseBool(v); err == nil {
			return b, nil
		}
	}
	return false, errBool
}

func parseInt(raw any) (int, error) {
	switch v := raw.(type) {
	case int:
		return v, nil
	case uint64: // what YAML makes of numbers above the largest int
		return 0, errTooLarge
	case string:
		n, err := strconv.Atoi(v)
		if errors.Is(err, strconv.ErrRange) {
			return 0, errTooLarge
		}
		if err == nil {
			return n, nil
		}
	}
	return 0, errInt
}

func parseUint(raw any) (uint64, error) {
	switch v := raw.(type) {
	case int:
		if v >= 0 {
			return uint64(v), nil
		}
	case uint64:
		return v, nil
	case string:
		n, err := strconv.ParseUint(v, 10, 64)
		if errors.Is(err, strconv.ErrRange) {
			return 0, errTooLarge
		}
		if err == nil {
			return n, nil
		}
	}
	return 0, errUint
}

func parseDuration(raw any) (time.Duration, error) {
	if d, ok := raw.(time.Duration); ok {
		return d, nil
	}
	if s, ok := raw.(string); ok {
		if d, err := time.ParseDuration(s); err == nil {
			return d, nil
		}
	}
	ms, err := parseInt(raw)
	switch {
	case errors.Is(err, errTooLarge), err == nil && (ms > math.MaxInt64/int(time.Millisecond) || ms < math.MinInt64/int(time.Millisecond)):
		return 0, errTooLarge
	case err != nil:
		return 0, errDuration
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func parseSize(raw any) (Size, error) {
	if s, ok := raw.(Size); ok {
		return s, nil
	}
	number, unit := raw, Size(1)
	if s, ok := raw.(string); ok {
		digits := strings.TrimRight(s, "BKMGTkmgtib ")
		for _, u := range sizeUnits {
			if strings.EqualFold(strings.TrimSpace(s[len(digits):]), u.name) {
				unit = u.bytes
				number = digits
			}
		}
	}
	n, err := parseInt(number)
	switch {
	case errors.Is(err, errTooLarge), err == nil && Size(n) > math.MaxInt64/unit:
		return 0, errTooLarge
	case err != nil || n < 0:
		return 0, errSize
	}
	return Size(n) * unit, nil
}

func parseList(raw any) ([]string, error) {
	var items []any
	switch v := raw.(type) {
	case string: // as in the environment: separated by commas
		if v != "" {
			for item := range strings.SplitSeq(v, ",") {
				items = append(items, item)
			}
		}
	case []string:
		for _, item := range v {
			items = append(items, item)
		}
	case []any:
		items = v
	default:
		return nil, errList
	}
	list := make([]string, 0, len(items))
	for i, item := range items {
		s, ok := item.(string)
		if !ok {
			return nil, fmt.Errorf("%w; item %d is not text, put it in quotes", errList, i+1)
		}
		if s = strings.TrimSpace(s); s == "" {
			return nil, errListItem
		}
		list = append(list, s)
	}
	return list, nil
}

func parseObjects(raw any) (Objects, error) {
	if s, ok := raw.(string); ok { // as in the environment
		var list []any
		decoder := json.NewDecoder(strings.NewReader(s))
		decoder.UseNumber()
		if s != "" {
			if err := decoder.Decode(&list); err != nil || decoder.More() {
				return nil, errObjects
			}
		}
		raw = list
	}
	items, ok := raw.([]any)
	if !ok {
		return nil, errObjects
	}
	list := make(Objects, 0, len(items))
	for i, item := range items {
		if _, ok := item.(map[string]any); !ok {
			return nil, fmt.Errorf("%w; item %d is none", errObjects, i+1)
		}
		object, err := json.Marshal(item) // names in order: the same declaration is the same text
		if err != nil {
			return nil, fmt.Errorf("must be a list of objects as in JSON, whose keys are texts; item %d: %w", i+1, err)
		}
		list = append(list, object)
	}
	return list, nil
}
