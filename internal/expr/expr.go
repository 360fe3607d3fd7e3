package expr

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"unicode/utf8"

	"github.com/itchyny/gojq"
)

const (
	maxSource = 16 << 10
	// maxOutput bounds what a program puts out, in bytes of JSON: as much as a batch may hold.
	maxOutput = 4 << 20
	// maxText bounds the text of an error that a program makes.
	maxText = 500
)

// Compiler compiles programs. The programs of one compiler share the right to take much memory at once.
type Compiler struct{ heavy chan struct{} }

// New makes a compiler.
func New() *Compiler { return &Compiler{heavy: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))} }

// Program is a compiled program. It may be used by several goroutines; they take turns.
type Program struct {
	source string
	code   *gojq.Code
	meter  *meter
	turn   chan struct{}
}

// String returns the source.
func (p *Program) String() string { return p.source }

// SyntaxError says what is wrong with a program.
type SyntaxError struct {
	Line, Column int // from 1, in characters; 0: not known
	Problem      string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Problem
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Problem)
}

// Compile compiles a program. Errors are *SyntaxError.
func (c *Compiler) Compile(source string) (p *Program, err error) {
	defer func() {
		if v := recover(); v != nil {
			p, err = nil, &SyntaxError{Problem: fmt.Sprintf("cannot be compiled: %v", v)}
			if r, ok := v.(*refusal); ok {
				err = atWord(source, r.word, r.Error())
			}
		}
	}()
	switch {
	case len(source) > maxSource:
		return nil, &SyntaxError{Problem: fmt.Sprintf("has %d bytes; %d are allowed", len(source), maxSource)}
	case !utf8.ValidString(source):
		return nil, &SyntaxError{Problem: "is not valid UTF-8"}
	case strings.TrimSpace(source) == "":
		return nil, &SyntaxError{Problem: `is empty; "." is the program that returns what it gets`}
	}
	q, err := gojq.Parse(source)
	if err != nil {
		return nil, parseError(source, err)
	}
	q = rewrite(q)
	m := newMeter(c.heavy)
	code, err := gojq.Compile(q, m.options()...)
	if err != nil {
		return nil, compileError(source, err)
	}
	return &Program{source: source, code: code, meter: m, turn: make(chan struct{}, 1)}, nil
}

// rewrite puts the guards in, and the parts of the prelude that are needed before the program.
func rewrite(q *gojq.Query) *gojq.Query {
	lib, err := gojq.Parse(prelude + ".")
	if err != nil {
		panic(err)
	}
	known := make(map[string]bool)
	uses := make(map[string]map[string]bool)
	for _, fd := range lib.FuncDefs {
		name := key(fd.Name, len(fd.Args))
		r := &rewriter{library: known, used: make(map[string]bool), trusted: true}
		r.define(fd, nil)
		uses[name] = r.used
		known[name] = true
	}
	r := &rewriter{library: known, used: make(map[string]bool)}
	q = r.query(q, nil, false)
	var needed []*gojq.FuncDef
	for i := len(lib.FuncDefs) - 1; i >= 0; i-- { // a definition uses earlier ones only
		fd := lib.FuncDefs[i]
		if name := key(fd.Name, len(fd.Args)); r.used[name] {
			needed = append([]*gojq.FuncDef{fd}, needed...)
			for other := range uses[name] {
				r.used[other] = true
			}
		}
	}
	q.FuncDefs = append(needed, q.FuncDefs...)
	return q
}

func parseError(source string, err error) error {
	var p *gojq.ParseError
	if !errors.As(err, &p) {
		return &SyntaxError{Problem: err.Error()}
	}
	return at(source, max(min(p.Offset, len(source))-len(p.Token), 0), p.Error())
}

// at is an error at a place, counted in bytes.
func at(source string, offset int, problem string) error {
	before := source[:offset]
	line := strings.Count(before, "\n")
	return &SyntaxError{Line: line + 1, Column: utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1, Problem: problem}
}

// atWord is an error at a word.
func atWord(source, word, problem string) error {
	found := regexp.MustCompile(`(^|[^\w.$@])(` + regexp.QuoteMeta(word) + `)($|\W)`).FindStringSubmatchIndex(source)
	if found == nil {
		return &SyntaxError{Problem: problem}
	}
	return at(source, found[4], problem)
}

// named finds the word in an error of the compiler, such as "variable not defined: $x".
var named = regexp.MustCompile(`: ([$\w]+)(/\d+)?$`)

func compileError(source string, err error) error {
	text := err.Error()
	if word := named.FindStringSubmatch(text); word != nil {
		return atWord(source, word[1], text)
	}
	return &SyntaxError{Problem: text}
}

// Bool evaluates a predicate over an event, which is JSON. As in jq, null and false are false and everything else is true; no output is
// false. An error says that there is no answer, which is not the same as false: ctx's cause if ctx has ended, else what is wrong with the
// event or the program, always the same for the same event but for ErrTime.
func (p *Program) Bool(ctx context.Context, event []byte) (bool, error) {
	truth := false
	_, err := p.evaluate(ctx, event, func(v any) error {
		truth = v != nil && v != false
		return nil
	})
	return truth && err == nil, err
}

// Value evaluates a program over an event and returns its output as JSON. keep is false if there is none. Errors are as in Bool.
func (p *Program) Value(ctx context.Context, event []byte) (out []byte, keep bool, err error) {
	keep, err = p.evaluate(ctx, event, func(v any) error {
		if err := p.meter.output(v); err != nil {
			return err
		}
		out, err = gojq.Marshal(v)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return out, keep, nil
}

var errMany = errors.New("puts out more than one value; put them into [ ], or take one by first( )")

// evaluate hands the one output to use, before the next evaluation may begin.
func (p *Program) evaluate(ctx context.Context, event []byte, use func(v any) error) (some bool, err error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	m := p.meter
	m.begin(ctx)
	defer m.finish()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("failed inside: %v", v)
		}
		switch {
		case m.why != nil && ctx.Err() != nil:
			err = context.Cause(ctx)
		case m.why != nil: // also if the program caught it
			err = fmt.Errorf("the expression %w", m.why)
		case err != nil:
			err = fmt.Errorf("the expression %w", err)
		}
	}()
	in, err := m.decode(event)
	if err != nil {
		return false, err
	}
	outputs := p.code.RunWithContext(m, in)
	v, some := outputs.Next()
	if !some {
		return false, nil
	}
	if err := failure(v); err != nil {
		return false, err
	}
	if next, more := outputs.Next(); more {
		if err := failure(next); err != nil {
			return false, err
		}
		return false, errMany
	}
	return true, use(v)
}

func failure(v any) error {
	if err, ok := v.(error); ok {
		return errors.New("fails: " + clip(err.Error(), maxText))
	}
	return nil
}
