package expr

import (
	"fmt"
	"math/bits"
	"strconv"

	"github.com/itchyny/gojq"
)

// refusal says that a program uses something that cannot be bounded or is not known.
type refusal struct {
	word string // as it stands in the program
	why  string
}

func (r *refusal) Error() string { return fmt.Sprintf("%q %s", r.word, r.why) }

// scope are the functions that a program has defined so far, by name and number of arguments.
type scope struct {
	names map[string]bool
	outer *scope
}

func (s *scope) inner(names ...string) *scope {
	in := &scope{names: make(map[string]bool), outer: s}
	for _, n := range names {
		in.names[n] = true
	}
	return in
}

func (s *scope) has(name string) bool {
	for ; s != nil; s = s.outer {
		if s.names[name] {
			return true
		}
	}
	return false
}

// rewriter puts guards into the tree of a program, and refuses what cannot be guarded. A panic with a *refusal ends it.
type rewriter struct {
	library map[string]bool // functions of the prelude that can be called from where the rewriter is
	used    map[string]bool // and those that are
	trusted bool            // it is in the prelude
	nodes   int             // of the tree, that were seen so far
	reach   int             // about how long the paths are that are assigned to, where the rewriter is
}

func key(name string, args int) string { return name + "/" + strconv.Itoa(args) }

func refuse(word, why string, args ...any) {
	panic(&refusal{word, fmt.Sprintf(why, args...)})
}

// Pieces of a tree.

func call(name string, args ...*gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeFunc, Func: &gojq.Func{Name: name, Args: args}}}
}

func identity() *gojq.Query { return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIdentity}} }

func pipe(l, r *gojq.Query) *gojq.Query { return &gojq.Query{Left: l, Op: gojq.OpPipe, Right: r} }

// guarded is a query whose values go through a guard.
func guarded(q *gojq.Query, guard string) *gojq.Query {
	if guard == "" {
		return q
	}
	return pipe(&gojq.Query{Term: group(q)}, call(guard))
}

func group(q *gojq.Query) *gojq.Term { return &gojq.Term{Type: gojq.TermTypeQuery, Query: q} }

func number(n int) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeNumber, Number: strconv.Itoa(n)}}
}

// element is .[n].
func element(n int) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeIndex, Index: &gojq.Index{Start: number(n)}}}
}

// bind is q as $name | body.
func bind(q *gojq.Query, name string, body *gojq.Query) *gojq.Query {
	return &gojq.Query{Left: &gojq.Query{Term: group(q)}, Op: gojq.OpPipe, Patterns: []*gojq.Pattern{{Name: name}}, Right: body}
}

// Names of variables that no program can name.
const (
	varLeft  = "$%left"
	varRight = "$%right"
)

// query rewrites a query. place says that it is what an assignment assigns to.
func (r *rewriter) query(q *gojq.Query, s *scope, place bool) *gojq.Query {
	if q == nil {
		return nil
	}
	r.nodes++
	if q.Meta != nil || len(q.Imports) > 0 {
		refuse("import", "and modules are not available")
	}
	for _, fd := range q.FuncDefs {
		s = r.define(fd, s)
	}
	if q.Term != nil {
		q.Term = r.term(q.Term, s, place)
		return q
	}
	switch q.Op {
	case gojq.OpPipe:
		q.Left = r.query(q.Left, s, place && len(q.Patterns) == 0)
		r.patterns(q.Patterns, s)
		q.Right = r.query(q.Right, s, place)
	case gojq.OpComma, gojq.OpAlt:
		q.Left, q.Right = r.query(q.Left, s, place), r.query(q.Right, s, place)
	case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
		r.assign(q, s)
	default:
		r.operate(q, s, place)
	}
	return q
}

// framed rewrites a query that is called. The interpreter makes room for all the variables in it at each call, which is counted.
func (r *rewriter) framed(q *gojq.Query, s *scope, place bool) *gojq.Query {
	before := r.nodes
	q = r.query(q, s, place)
	if frame := frameOf(r.nodes - before); frame != "" && q != nil {
		return pipe(call(frame), &gojq.Query{Term: group(q)})
	}
	return q
}

// freeFrame is how many nodes a query may have whose call costs no more than its steps.
const freeFrame = 24

// frameOf names the guard for a query of so many nodes. There is about one variable for each node.
func frameOf(nodes int) string {
	if nodes <= freeFrame {
		return ""
	}
	return frameName(min(bits.Len(uint(nodes/4)), maxFrame))
}

// maxFrame is enough for the largest program.
const maxFrame = 20

// frameName names the guard that counts 1<<n units.
func frameName(n int) string { return "%frame" + strconv.Itoa(n) }

// define rewrites a definition and returns the scope in which it is known.
func (r *rewriter) define(fd *gojq.FuncDef, s *scope) *scope {
	s = s.inner(key(fd.Name, len(fd.Args)))
	body := s.inner()
	for _, arg := range fd.Args {
		if arg[0] == '$' {
			arg = arg[1:]
		}
		body.names[key(arg, 0)] = true
	}
	fd.Body = r.framed(fd.Body, body, false)
	return s
}

// pairOf is what counts the operands of an operator.
func pairOf(op gojq.Operator) string {
	switch op {
	case gojq.OpSub, gojq.OpUpdateSub:
		return pairMinus
	case gojq.OpMul, gojq.OpUpdateMul:
		return pairTimes
	case gojq.OpDiv, gojq.OpUpdateDiv:
		return pairOver
	case gojq.OpAdd, gojq.OpMod, gojq.OpUpdateAdd, gojq.OpUpdateMod:
		return pairFlat
	case gojq.OpEq, gojq.OpNe, gojq.OpGt, gojq.OpLt, gojq.OpGe, gojq.OpLe:
		return pairTree
	default:
		return ""
	}
}

// operate rewrites l op r to pair(l; r) | .[0] op .[1].
func (r *rewriter) operate(q *gojq.Query, s *scope, place bool) {
	if place {
		refuse(q.Op.String(), "makes a value and no place to assign to")
	}
	q.Left, q.Right = r.framed(q.Left, s, false), r.framed(q.Right, s, false)
	pair := pairOf(q.Op)
	switch {
	case pair == "": // and, or
		return
	case pair == pairTree && scalar(q.Left): // to compare with a constant costs no more than the constant is long, but a number is read
		q.Right = guarded(q.Right, guardNumber)
		return
	case pair == pairTree && scalar(q.Right):
		q.Left = guarded(q.Left, guardNumber)
		return
	}
	op := q.Op
	q.Left, q.Op, q.Right = call(pair, q.Left, q.Right), gojq.OpPipe, &gojq.Query{Left: element(0), Op: op, Right: element(1)}
}

// scalar says that a query is a constant that is no array or object.
func scalar(q *gojq.Query) bool {
	if q.Term == nil || len(q.FuncDefs) > 0 || len(q.Term.SuffixList) > 0 {
		return false
	}
	switch q.Term.Type {
	case gojq.TermTypeNull, gojq.TermTypeTrue, gojq.TermTypeFalse:
		return true
	case gojq.TermTypeNumber:
		return len(q.Term.Number) <= 32
	case gojq.TermTypeString:
		return q.Term.Str.Queries == nil
	default:
		return false
	}
}

// updates are the operators behind those that assign.
var updates = map[gojq.Operator]gojq.Operator{ //nolint:gochecknoglobals // constants
	gojq.OpUpdateAdd: gojq.OpAdd, gojq.OpUpdateSub: gojq.OpSub, gojq.OpUpdateMul: gojq.OpMul, gojq.OpUpdateDiv: gojq.OpDiv,
	gojq.OpUpdateMod: gojq.OpMod, gojq.OpUpdateAlt: gojq.OpAlt,
}

// funcPlace is a function that no program can name.
const funcPlace = "%place"

// Lengths of paths that are assigned to.
const (
	shortReach = 16   // its price is in that of the steps that find it
	anyReach   = 1000 // it is not known beforehand
)

// assign rewrites an assignment. l op= r becomes r as $x | l |= (. op $x), whose operator is guarded like any other. What may delete
// walks through everything, and through what is put there.
func (r *rewriter) assign(q *gojq.Query, s *scope) {
	outer := r.reach
	r.reach = 0
	left := r.framed(q.Left, s, true)
	reach := r.reach
	r.reach = outer
	if reach > shortReach { // it is used twice
		q.FuncDefs = append(q.FuncDefs, &gojq.FuncDef{Name: funcPlace, Body: left})
		left = call(funcPlace)
	}
	right := r.framed(q.Right, s, false)
	op, isUpdate := updates[q.Op]
	switch {
	case isUpdate:
		change := &gojq.Query{Left: identity(), Op: op, Right: call(varRight)}
		if pair := pairOf(op); pair != "" {
			change = pipe(call(pair, identity(), call(varRight)), &gojq.Query{Left: element(0), Op: op, Right: element(1)})
		}
		set := &gojq.Query{Left: left, Op: gojq.OpModify, Right: &gojq.Query{Term: group(change)}}
		q.Left, q.Op, q.Right = &gojq.Query{Term: group(right)}, gojq.OpPipe, set
		q.Patterns = []*gojq.Pattern{{Name: varRight}}
	case q.Op == gojq.OpModify:
		set := &gojq.Query{Left: left, Op: gojq.OpModify, Right: guarded(right, guardTree)}
		q.Left, q.Op, q.Right = call(guardTree), gojq.OpPipe, set
	default:
		q.Left, q.Right = left, right
	}
	if reach > shortReach {
		set := &gojq.Query{Left: q.Left, Op: q.Op, Right: q.Right, Patterns: q.Patterns}
		q.Left, q.Op, q.Right, q.Patterns = reached(left), gojq.OpPipe, &gojq.Query{Term: group(set)}, nil
	}
}

// reached counts the paths of a place: reduce path(place) as $p (.; pair(.; $p) | .[0]).
func reached(place *gojq.Query) *gojq.Query {
	return &gojq.Query{Term: &gojq.Term{Type: gojq.TermTypeReduce, Reduce: &gojq.Reduce{
		Query: call("path", place), Patterns: []*gojq.Pattern{{Name: varRight}},
		Start: identity(), Update: pipe(call(pairReach, identity(), call(varRight)), element(0)),
	}}}
}

func (r *rewriter) patterns(list []*gojq.Pattern, s *scope) {
	for _, p := range list {
		r.nodes += 4
		r.patterns(p.Array, s)
		for _, o := range p.Object {
			r.text(o.KeyString, s)
			if o.KeyQuery != nil {
				o.KeyQuery = guarded(r.framed(o.KeyQuery, s, false), guardKey)
			}
			if o.Val != nil {
				r.patterns([]*gojq.Pattern{o.Val}, s)
			}
		}
	}
}

// maxPut bounds the values that are put into a string: each is copied once more for every one that follows.
const maxPut = 100

// text rewrites a string. What is put into it goes through a guard.
func (r *rewriter) text(str *gojq.String, s *scope) {
	if str == nil {
		return
	}
	length, put := 0, 0
	for _, part := range str.Queries {
		if part.Term != nil && part.Term.Str != nil {
			length += len(part.Term.Str.Str)
		} else {
			put++
		}
	}
	if put > maxPut {
		refuse("string interpolation", "takes at most %d values in one string; put them into [ ] and join them", maxPut)
	}
	for i, part := range str.Queries {
		if part.Term != nil && part.Term.Str != nil {
			continue // between two of them
		}
		q := guarded(r.framed(part, s, false), guardText)
		if length > 64 { // what stands around it is copied each time
			q = bind(q, varLeft, pipe(guarded(number(length), guardGrow), call(varLeft)))
			length = 0
		}
		str.Queries[i] = &gojq.Query{Term: group(q)}
	}
}
