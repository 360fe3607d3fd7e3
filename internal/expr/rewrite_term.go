package expr

import (
	"slices"

	"github.com/itchyny/gojq"
)

// term rewrites a term. Its suffixes are put on again one by one, with guards in between.
func (r *rewriter) term(t *gojq.Term, s *scope, place bool) *gojq.Term {
	suffixes := t.SuffixList
	base := *t
	base.SuffixList = nil
	out := &base
	if base.Type == gojq.TermTypeIndex {
		out, suffixes = &gojq.Term{Type: gojq.TermTypeIdentity}, append([]*gojq.Suffix{{Index: base.Index}}, suffixes...)
	} else {
		before := r.nodes
		out = r.base(out, s, place)
		if frame := frameOf(r.nodes - before); frame != "" && len(suffixes) > 0 {
			out = group(pipe(call(frame), &gojq.Query{Term: out}))
		}
	}
	for _, suffix := range suffixes {
		guard := ""
		switch {
		case suffix.Index != nil:
			guard = r.index(suffix.Index, s, place)
		case suffix.Iter:
			guard = guardFlat
		}
		if guard != "" {
			out = group(guarded(&gojq.Query{Term: out}, guard))
		}
		out.SuffixList = append(out.SuffixList, suffix)
	}
	return out
}

// index rewrites what stands in .[ ] and returns the guard for what it looks into.
func (r *rewriter) index(x *gojq.Index, s *scope, place bool) string {
	guard, keys := "", guardKey
	if place {
		guard, keys = guardFlat, guardGrow
		r.reach++
	}
	switch {
	case x.IsSlice:
		if place {
			r.reach += anyReach
		}
		x.Start, x.End = r.end(x.Start, s), r.end(x.End, s)
		return guardFlat
	case x.Str != nil:
		r.text(x.Str, s)
		return guard
	case x.Start == nil:
		return guard
	}
	if !place {
		guard = guardStr
	}
	if !scalar(x.Start) || place {
		x.Start = guarded(r.framed(x.Start, s, false), keys)
	}
	return guard
}

// end rewrites an end of a slice, which may be left out.
func (r *rewriter) end(q *gojq.Query, s *scope) *gojq.Query {
	if q == nil || scalar(q) {
		return q
	}
	return guarded(r.framed(q, s, false), guardFlat)
}

// base rewrites a term without suffixes.
func (r *rewriter) base(t *gojq.Term, s *scope, place bool) *gojq.Term {
	switch t.Type {
	case gojq.TermTypeIdentity, gojq.TermTypeBreak:
		return t
	case gojq.TermTypeRecurse:
		return group(r.builtin(&gojq.Func{Name: "recurse"}, s, place))
	case gojq.TermTypeFunc:
		return r.call(t, s, place)
	case gojq.TermTypeQuery:
		t.Query = r.query(t.Query, s, place)
		return t
	case gojq.TermTypeIf:
		r.branch(t.If, s, place)
		return t
	case gojq.TermTypeTry:
		t.Try.Body, t.Try.Catch = r.query(t.Try.Body, s, place), r.query(t.Try.Catch, s, false)
		return t
	case gojq.TermTypeLabel:
		t.Label.Body = r.query(t.Label.Body, s, place)
		return t
	default:
		if place {
			refuse(t.String(), "makes a value and no place to assign to; name places by . .key .[n] [] .. | , select first last if and getpath")
		}
		r.value(t, s)
		return t
	}
}

// value rewrites a term that makes a value.
func (r *rewriter) value(t *gojq.Term, s *scope) {
	switch t.Type {
	case gojq.TermTypeObject:
		r.nodes += 2 * len(t.Object.KeyVals)
		for _, kv := range t.Object.KeyVals {
			r.text(kv.KeyString, s)
			kv.KeyQuery, kv.Val = r.query(kv.KeyQuery, s, false), r.query(kv.Val, s, false)
			if len(kv.Key) > 0 && kv.Key[0] == '$' {
				r.variable(kv.Key)
			}
		}
	case gojq.TermTypeArray:
		t.Array.Query = r.query(t.Array.Query, s, false)
	case gojq.TermTypeUnary:
		if t.Unary.Term.Type != gojq.TermTypeNumber {
			t.Unary.Term = group(guarded(&gojq.Query{Term: r.term(t.Unary.Term, s, false)}, guardFlat))
		}
	case gojq.TermTypeString:
		r.text(t.Str, s)
	case gojq.TermTypeFormat:
		r.format(t, s)
	case gojq.TermTypeReduce:
		x := t.Reduce
		x.Query = r.query(x.Query, s, false)
		r.patterns(x.Patterns, s)
		x.Start, x.Update = r.query(x.Start, s, false), r.query(x.Update, s, false)
	case gojq.TermTypeForeach:
		x := t.Foreach
		x.Query = r.query(x.Query, s, false)
		r.patterns(x.Patterns, s)
		x.Start, x.Update, x.Extract = r.query(x.Start, s, false), r.query(x.Update, s, false), r.query(x.Extract, s, false)
	default: // a constant
	}
}

func (r *rewriter) branch(x *gojq.If, s *scope, place bool) {
	x.Cond, x.Then, x.Else = r.query(x.Cond, s, false), r.query(x.Then, s, place), r.query(x.Else, s, place)
	for _, e := range x.Elif {
		e.Cond, e.Then = r.query(e.Cond, s, false), r.query(e.Then, s, place)
	}
}

func (r *rewriter) format(t *gojq.Term, s *scope) {
	if !slices.Contains(formats, t.Format) {
		refuse(t.Format, "is not a format that is known")
	}
	if t.Str != nil {
		r.text(t.Str, s)
		return
	}
	format := *t
	*t = *group(pipe(call(guardText), &gojq.Query{Term: &format}))
}

func (r *rewriter) variable(name string) {
	if why, ok := refused[name]; ok {
		refuse(name, "%s", why)
	}
}

// call rewrites the call of a function.
func (r *rewriter) call(t *gojq.Term, s *scope, place bool) *gojq.Term {
	f := t.Func
	name := key(f.Name, len(f.Args))
	inside, reserved := trusted[name]
	switch own := s.has(name); {
	case f.Name[0] == '$':
		r.variable(f.Name)
	case own || r.library[name]:
		if place {
			refuse(f.Name, "is not available in what is assigned to")
		}
		if !own {
			r.used[name] = true
		}
		r.arguments(f, s)
	case reserved && r.trusted:
		f.Name = inside
		r.arguments(f, s)
	default:
		return group(r.builtin(f, s, place))
	}
	return t
}

func (r *rewriter) arguments(f *gojq.Func, s *scope) {
	for i := range f.Args {
		f.Args[i] = r.framed(f.Args[i], s, false)
	}
}

// ruleOf is the rule for a function of the interpreter.
func ruleOf(f *gojq.Func, place bool) rule {
	b, ok := rules[key(f.Name, len(f.Args))]
	switch {
	case !ok && refused[f.Name] != "":
		refuse(f.Name, "%s", refused[f.Name])
	case !ok && known()[f.Name]:
		refuse(f.Name, "does not take %d arguments", len(f.Args))
	case !ok:
		refuse(f.Name, "is not a function that is known here")
	case place && b.place == "":
		refuse(f.Name, "is not available in what is assigned to")
	case place && b.place != values && b.place != places:
		b.each = b.place
	case place && f.Name == "recurse":
		b.guard = guardTree
	}
	return b
}

// builtin rewrites the call of a function of the interpreter.
func (r *rewriter) builtin(f *gojq.Func, s *scope, place bool) *gojq.Query {
	b := ruleOf(f, place)
	for i := range f.Args {
		f.Args[i] = guarded(r.framed(f.Args[i], s, place && b.place == places), b.each)
	}
	if b.first != "" {
		f.Args[0] = guarded(f.Args[0], b.first)
	}
	if place && (f.Name == "recurse" || f.Name == "getpath") {
		r.reach += anyReach
	}
	q := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: f}}
	switch {
	case b.pair != "": // pair(.; x) | .[1] as $x | .[0] | f($x)
		counted := call(b.pair, identity(), f.Args[0])
		f.Args[0] = call(varRight)
		return pipe(counted, bind(element(1), varRight, pipe(element(0), q)))
	case f.Name == "setpath": // v as $v | p as $p | pair(.; $p) | .[0] | setpath($p; $v)
		p, v := f.Args[0], f.Args[1]
		f.Args[0], f.Args[1] = call(varLeft), call(varRight)
		return bind(v, varRight, bind(p, varLeft, pipe(pipe(call(pairAlong, identity(), call(varLeft)), element(0)), q)))
	case f.Name == "getpath": // p as $p | (pair(.; $p) as $x | .) | getpath($p)
		p := f.Args[0]
		f.Args[0] = call(varLeft)
		return bind(p, varLeft, pipe(bind(call(pairLook, identity(), call(varLeft)), varRight, identity()), q))
	case f.Name == "path": // its cost is known when it is there
		return guarded(q, guardFlat)
	case key(f.Name, len(f.Args)) == "recurse/0":
		f.Args = []*gojq.Query{items()}
	}
	if b.guard != "" {
		return pipe(call(b.guard), q)
	}
	return q
}

// items is .[] of what has members, and nothing otherwise.
func items() *gojq.Query {
	all := &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity, SuffixList: []*gojq.Suffix{{Iter: true}}}}
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIf, If: &gojq.If{Cond: call(hasItems), Then: all, Else: call("empty")}}}
}
