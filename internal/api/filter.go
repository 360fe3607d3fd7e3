package api

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	// labelPrefix comes before the name of a label in the name of a parameter.
	labelPrefix = "label."
	// maxSkip bounds what is found only to be left out.
	maxSkip = 10_000
	// maxConditions bounds the work that one request can ask for.
	maxConditions = 32
)

// filterParameters are those of a list of transactions.
func filterParameters() []parameter {
	list := []parameter{
		{"limit", openapi3.TypeInteger, "Transactions at most. 25 if absent; api.maxPage sets the maximum."},
		{"after", "", "Id of the last transaction of the page before."},
		{"direction", "", "asc or desc in order of acceptance; desc if absent."},
		{"signer", "", "Only those of this signer."},
		{"pending", openapi3.TypeBoolean, "true: only those that are not final."},
		{"progress", "", "Only those in this progress: InProgress, Completed, Failed; several with commas, or repeated."},
		{labelPrefix + "*", "", "label.NAME=value: only those with this label. Of several labels all must be there."},
		{"skip", openapi3.TypeInteger, "How many of the matching transactions to leave out first, 10000 at most. Prefer after, which costs nothing."},
		{"count", openapi3.TypeBoolean, "true: answer with {count, total, items}, where total is how many match on all pages."},
		{"sort", "", "sequence or created, with - before it for descending order: the same as direction."},
		{"ascending", openapi3.TypeBoolean, "The same as direction=asc."},
		{"descending", openapi3.TypeBoolean, "The same as direction=desc."},
	}
	for _, f := range apitypes.TransactionFields() {
		p := parameter{f, "", "Only those whose field matches. The value begins with an operator: = (or nothing), >, >=, <, <=, @ contains, ^ begins with, " +
			"$ ends with; before it ! for not, : for no regard to upper and lower case, ? for an absent field. Of repeated values one must match, all with ["}
		if f == "status" {
			p.about = "Only those in these statuses: Pending, Suspended, Succeeded, Failed; several with commas, or repeated. Operators as for other fields."
		}
		list = append(list, p)
	}
	return list
}

// canonicalNames gives the parameters of a filter the names under which they are known: FireFly takes them in any case.
func canonicalNames(values url.Values, known []parameter) url.Values {
	out := make(url.Values, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		as := name
		if len(name) > len(labelPrefix) && strings.EqualFold(name[:len(labelPrefix)], labelPrefix) {
			as = labelPrefix + name[len(labelPrefix):]
		} else if i := slices.IndexFunc(known, func(p parameter) bool { return strings.EqualFold(p.name, name) }); i >= 0 {
			as = known[i].name
		}
		out[as] = append(out[as], values[name]...)
	}
	return out
}

func (rq *request) transactionFilter() (f apitypes.TransactionFilter, err error) {
	var errs [7]error
	f.Limit, errs[0] = rq.limit(defaultPage)
	f.Pending, errs[1] = rq.flag("pending")
	errs[2] = rq.statuses(&f)
	f.Progress, errs[3] = rq.words("progress", apitypes.InProgress, apitypes.Completed, apitypes.NotDone)
	f.Ascending, errs[4] = rq.ascending()
	errs[5] = rq.conditions(&f)
	f.Skip, errs[6] = rq.skip()
	f.After, f.Signer = rq.values.Get("after"), rq.values.Get("signer")
	for _, err := range errs {
		if err != nil {
			return f, err
		}
	}
	return f, rq.labels(&f)
}

// ascending reads the order, which has several names.
func (rq *request) ascending() (asc bool, err error) {
	given := ""
	for _, name := range []string{"direction", "sort", "ascending", "descending"} {
		if !rq.values.Has(name) {
			continue
		}
		if given != "" {
			return false, badParameter(name, rq.values.Get(name), "leave it out, "+given+" says the order")
		}
		given = name
		if asc, err = rq.orderBy(name); err != nil {
			return false, err
		}
	}
	return asc, nil
}

func (rq *request) orderBy(name string) (asc bool, err error) {
	v := strings.ToLower(rq.values.Get(name))
	switch name {
	case "direction":
		switch v {
		case "asc", "ascending":
			return true, nil
		case "", "desc", "descending":
			return false, nil
		}
		return false, badParameter(name, v, "give asc or desc")
	case "sort":
		if !slices.Contains([]string{"sequence", "created", "-sequence", "-created"}, v) {
			return false, badParameter(name, v, "give sequence or created, with - before it for descending order: no index has another order")
		}
		return v[0] != '-', nil
	default:
		on, err := rq.flag(name)
		return on && name == "ascending", err
	}
}

func (rq *request) skip() (int, error) {
	if !rq.values.Has("skip") {
		return 0, nil
	}
	v := rq.values.Get("skip")
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > maxSkip {
		return 0, badParameter("skip", v, "give a number from 0 to "+strconv.Itoa(maxSkip)+", or go on with after")
	}
	return n, nil
}

// labels reads label.NAME=value. Two values of one label cannot both be there.
func (rq *request) labels(f *apitypes.TransactionFilter) error {
	for name, values := range rq.values {
		label, ok := strings.CutPrefix(name, labelPrefix)
		if !ok {
			continue
		}
		if len(values) > 1 {
			return badParameter(name, values[1], "give one value of a label")
		}
		if f.Labels == nil {
			f.Labels = make(map[string]string)
		}
		f.Labels[label] = values[0]
	}
	return nil
}

// words reads a list of known words, in their canonical form.
func (rq *request) words(name string, known ...string) (list []string, err error) {
	for given := range strings.SplitSeq(strings.Join(rq.values[name], ","), ",") {
		given = strings.TrimSpace(given)
		i := slices.IndexFunc(known, func(s string) bool { return strings.EqualFold(s, given) })
		switch {
		case given == "":
		case i < 0:
			return nil, badParameter(name, given, "give "+strings.Join(known, ", "))
		default:
			list = append(list, known[i])
		}
	}
	return list, nil
}

// statuses reads the statuses to show: a list of them, or conditions like those of other fields.
func (rq *request) statuses(f *apitypes.TransactionFilter) (err error) {
	if slices.ContainsFunc(rq.values["status"], func(v string) bool { return v != "" && strings.ContainsRune("=!:?[]><@^$", rune(v[0])) }) {
		f.Match = append(f.Match, conditionsOf("status", rq.values["status"])...)
		return nil
	}
	f.Statuses, err = rq.words("status", "Pending", "Suspended", "Succeeded", "Failed")
	return err
}

// conditions reads the fields that are compared in ffapi's syntax.
func (rq *request) conditions(f *apitypes.TransactionFilter) error {
	for _, field := range apitypes.TransactionFields() {
		if field != "status" {
			f.Match = append(f.Match, conditionsOf(field, rq.values[field])...)
		}
	}
	n := 0
	for _, m := range f.Match {
		n += len(m)
	}
	if n > maxConditions {
		return badParameter("with conditions", strconv.Itoa(n), "give at most "+strconv.Itoa(maxConditions)+" of them")
	}
	return nil
}

// conditionsOf are the conditions of one field's values: one of them must hold, or all, if a value says so.
func conditionsOf(field string, values []string) [][]apitypes.Condition {
	if len(values) == 0 {
		return nil
	}
	list, every := make([]apitypes.Condition, 0, len(values)), false
	for _, v := range values {
		c, and := parseCondition(v)
		c.Field, every = field, every || and
		list = append(list, c)
	}
	if !every {
		return [][]apitypes.Condition{list}
	}
	each := make([][]apitypes.Condition, len(list))
	for i, c := range list {
		each[i] = []apitypes.Condition{c}
	}
	return each
}

// parseCondition takes a value of ffapi's syntax apart: modifiers, then an operator of one or two characters, then what to compare
// with. and: the value says [.
func parseCondition(value string) (c apitypes.Condition, and bool) {
	op, i, empty := "", 0, false
	for more := true; more && i < len(value); i++ {
		switch b := value[i]; {
		case b == '!':
			c.Not = true
		case b == ':':
			c.Fold = true
		case b == '?':
			empty = true
		case b == '[' || b == ']':
			and = b == '['
		case strings.IndexByte("<>=@^$", b) >= 0 && goesOn(op, b):
			op += string(b)
			more = len(op) == 1 && (b == '<' || b == '>')
		default:
			more = false
			i-- // it belongs to what is compared with
		}
	}
	c.Value, c.None = value[i:], empty && i == len(value)
	c.Op = operators[op]
	return c, and
}

// operators are the operators by their spellings.
var operators = map[string]string{ //nolint:gochecknoglobals // constant
	"": "=", "=": "=", ">": ">", ">>": ">", ">=": ">=", "<": "<", "<<": "<", "<=": "<=", "@": "@", "^": "^", "$": "$",
}

// goesOn tells whether a character goes on with an operator: > and < may be doubled, or followed by =.
func goesOn(op string, b byte) bool { return op == "" || op[0] == b || b == '=' }
