package expr

import (
	"strings"
)

// rule says how a function of the interpreter is bounded.
type rule struct {
	guard string // counts the input
	each  string // counts each value of each argument
	first string // counts each value of the first argument, if not each
	pair  string // counts the input together with the value of the one argument
	place string // the function may be a part of what is assigned to: its arguments are "values" or "places", or a guard for its path
}

const (
	values = "values"
	places = "places"
)

// rules are the functions that a program may call, by name and number of arguments. What is not here and not in the prelude is refused.
var rules = func() map[string]rule { //nolint:gochecknoglobals // constants
	list := map[string]rule{
		"select/1": {place: values}, "empty/0": {place: values}, "error/0": {guard: guardText, place: values}, "error/1": {each: guardText, place: values},
		"first/0": {guard: guardFlat, place: values}, "last/0": {guard: guardFlat, place: values}, "first/1": {place: places}, "last/1": {place: places},
		"recurse/0": {place: values}, "recurse/1": {place: places}, "getpath/1": {place: guardNew},
		"nth/1": {guard: guardStr, each: guardKey}, "has/1": {each: guardKey}, "join/1": {pair: pairJoin},
		"contains/1": {pair: pairContains}, "inside/1": {pair: pairContains},
		"indices/1": {pair: pairIndices}, "index/1": {pair: pairIndices}, "rindex/1": {pair: pairIndices},
		"split/1": {pair: pairOver}, "setpath/2": {}, "delpaths/1": {pair: pairDelete},
		"tonumber/0": {guard: guardDigit}, "fromjson/0": {guard: guardParse}, "explode/0": {guard: guardChars},
		"sort/0": {guard: guardSort}, "unique/0": {guard: guardSort}, "length/0": {guard: guardLength},
		"flatten/1":  {guard: guardTree, each: guardFlat},
		"strftime/1": {guard: guardTree, each: guardFormat}, "strptime/1": {guard: guardText, each: guardText},
	}
	add := func(r rule, names string) {
		for name := range strings.FieldsSeq(names) {
			list[name] = r
		}
	}
	add(rule{}, "not/0 type/0 utf8bytelength/0 toboolean/0 isempty/1 any/2 all/2 while/2 until/2 repeat/1 path/1"+
		" recurse/2 infinite/0 nan/0")
	add(rule{place: values}, "arrays/0 objects/0 iterables/0 booleans/0 numbers/0 strings/0 nulls/0 values/0 scalars/0")
	add(rule{guard: guardFlat}, "in/1 map/1 keys/0 to_entries/0 from_entries/0 with_entries/1 any/0 any/1 all/0 all/1 reverse/0 trim/0 ltrim/0 rtrim/0"+
		" ascii_downcase/0 ascii_upcase/0 abs/0 floor/0 ceil/0 round/0 trunc/0 fabs/0 sqrt/0 cbrt/0"+
		" isinfinite/0 isnan/0 isnormal/0 exp/0 exp2/0 exp10/0 log/0 log2/0 log10/0 todate/0 todateiso8601/0 gmtime/0")
	add(rule{each: guardFlat}, "pow/2 fmin/2 fmax/2 fmod/2")
	add(rule{each: guardRange}, "range/1 range/2 range/3")
	add(rule{first: guardFlat}, "limit/2 skip/2 nth/2")
	add(rule{guard: guardTree}, "add/0 min/0 max/0 flatten/0 implode/0 mktime/0")
	add(rule{guard: guardText}, "tostring/0 tojson/0 fromdate/0 fromdateiso8601/0") // an error about a date quotes it
	add(rule{pair: pairFlat}, "startswith/1 endswith/1 ltrimstr/1 rtrimstr/1 trimstr/1")
	return list
}()

// trusted are functions that only the prelude may call, and what they are called inside.
var trusted = map[string]string{ //nolint:gochecknoglobals // constants
	"_flat/0": guardFlat, "_tree/0": guardTree, "_sorted/0": guardSort,
	"_match/2": "%match", "_test/2": "%test", "_split/2": "%split", "_pieces/2": "%pieces",
	"_sort_by/1": "_sort_by", "_group_by/1": "_group_by", "_unique_by/1": "_unique_by", "_min_by/1": "_min_by", "_max_by/1": "_max_by",
}

// refused are functions that people will look for.
var refused = func() map[string]string { //nolint:gochecknoglobals // constants
	list := make(map[string]string)
	for names, why := range map[string]string{
		"now localtime strflocaltime": "gives another answer at each delivery or on each machine",
		"env $ENV input inputs input_filename input_line_number debug stderr halt halt_error modulemeta get_search_list $__loc__ $__prog_args": "reaches beyond the event",
	} {
		for name := range strings.FieldsSeq(names) {
			list[name] = why
		}
	}
	return list
}()

// formats are those of strings, such as @base64.
var formats = []string{"@text", "@json", "@html", "@uri", "@urid", "@csv", "@tsv", "@sh", "@base64", "@base64d"} //nolint:gochecknoglobals // constants

// prelude defines functions whose definitions in the interpreter cannot be bounded, in terms of those that can. Names that begin with _ are
// those of trusted.
const prelude = `
def add(f): [f] | add;
def sort_by(f): _flat | _sort_by(map([f]) | _sorted);
def group_by(f): _flat | _group_by(map([f]) | _sorted);
def unique_by(f): _flat | _unique_by(map([f]) | _sorted);
def min_by(f): _flat | _min_by(map([f]) | _tree);
def max_by(f): _flat | _max_by(map([f]) | _tree);
def del(f): delpaths([path(f)]);
def paths: path(..) | select(length > 0);
def paths(f): path(.. | select(f)) | select(length > 0);
def map_values(f): .[] |= f;
def walk(f): def _walk: if type == "array" then map(_walk) elif type == "object" then map_values(_walk) end | f; _tree | _walk;
def pick(f): . as $v | reduce path(f) as $p (null; setpath($p; $v | getpath($p)));
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def INDEX(stream; f): reduce stream as $row ({}; .[$row | f | tostring] = $row);
def INDEX(f): INDEX(.[]; f);
def match($re; $flags): _match($re; $flags)[];
def match($re): if ($re | type) == "array" then match($re[0]; $re[1]) else match($re; null) end;
def test($re; $flags): _test($re; $flags);
def test($re): if ($re | type) == "array" then test($re[0]; $re[1]) else test($re; null) end;
def capture($re; $flags): match($re; $flags) | [.captures[] | select(.name != null) | {key: .name, value: .string}] | from_entries;
def capture($re): if ($re | type) == "array" then capture($re[0]; $re[1]) else capture($re; null) end;
def scan($re; $flags): match($re; $flags + "g") | if .captures == [] then .string else [.captures[].string] end;
def scan($re): scan($re; null);
def split($re; $flags): _split($re; $flags);
def splits($re; $flags): _split($re; $flags)[];
def splits($re): _split($re; null)[];
def sub($re; f; $flags):
  [_pieces($re; $flags)[] | if type == "string" then . else first(f) | strings // error("the replacement is not a string") end] | join("");
def sub($re; f): sub($re; f; null);
def gsub($re; f; $flags): sub($re; f; $flags + "g");
def gsub($re; f): sub($re; f; "g");
`

// known returns the names of all functions, without the numbers of their arguments.
func known() map[string]bool {
	names := make(map[string]bool)
	for name := range rules {
		base, _, _ := strings.Cut(name, "/")
		names[base] = true
	}
	return names
}
