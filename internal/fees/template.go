package fees

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// answerTemplate makes a fee from an oracle's answer; nil takes the answer as it is.
type answerTemplate struct{ t *template.Template }

// notForAnswers are functions of sprig that reach beyond the answer: an environment holds secrets.
var notForAnswers = []string{"env", "expandenv", "getHostByName"}

func parseTemplate(text string) (*answerTemplate, error) {
	if text == "" {
		return &answerTemplate{}, nil
	}
	functions := sprig.TxtFuncMap()
	for _, name := range notForAnswers {
		delete(functions, name)
	}
	t, err := template.New("fees.rest.template").Option("missingkey=error").Funcs(functions).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("fees.rest.template: must be a Go template: %w", err)
	}
	return &answerTemplate{t}, nil
}

// errTooLong is the answer of a template that writes without end.
var errTooLong = errors.New("it writes too much")

// apply makes a fee from an answer. Numbers keep their digits: they may be larger than any float holds.
func (a *answerTemplate) apply(answer []byte) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	var data any
	if d.Decode(&data) != nil || d.More() {
		return nil, errors.New("the answer is no JSON")
	}
	if a.t == nil {
		return compact(answer)
	}
	var out bounded
	if err := a.t.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("fees.rest.template: %w", err)
	}
	fee, err := compact(out.Bytes())
	if err != nil {
		return nil, fmt.Errorf("fees.rest.template: made %.40q, which is no JSON; put text in quotes", out.Bytes())
	}
	return fee, nil
}

func compact(raw []byte) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// bounded is a buffer that refuses to grow without end.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxAnswer {
		return 0, errTooLong
	}
	return b.Buffer.Write(p)
}
