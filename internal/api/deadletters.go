package api

import (
	"net/http"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const tagLetters = "Dead letters"

// letterParameters are those that select dead letters.
func letterParameters() []parameter {
	return []parameter{
		{"after", "", "Only those with a higher sequence: that of the last one of the page before."},
		{"before", "", "Only those with a lower sequence."},
		{"listener", "", "Only those of this listener: its id or, while it is there, its name."},
		{"kind", "", "Only those of this kind: permanent, refused or expression."},
		{"since", "", "Only those that failed last at this time or later, e.g. 2026-01-31T12:00:00Z."},
		{"until", "", "Only those that failed last before this time."},
	}
}

func letterRoutes() []*route {
	const all, one = "/eventstreams/{streamId}/deadletters", "/eventstreams/{streamId}/deadletters/{deadLetterId}"
	return []*route{
		{
			method: http.MethodGet, path: all, name: "getDeadLetters", tag: tagLetters,
			about: "Lists the dead letters of an event stream: events that could not be delivered, in the order in which they were set aside. The events " +
				"themselves are left out.",
			query:  append([]parameter{{"limit", openapi3.TypeInteger, "Items at most. As many as api.maxPage allows if absent."}}, letterParameters()...),
			output: []*apitypes.DeadLetter{}, status: http.StatusOK, serve: (*request).getDeadLetters,
		},
		{
			method: http.MethodDelete, path: all, name: "deleteDeadLetters", tag: tagLetters,
			about:  "Deletes dead letters. Their events are not delivered any more. What to delete must be named, or all set to true.",
			query:  append([]parameter{{"all", openapi3.TypeBoolean, "true: all dead letters of the stream. Nothing else can be named then."}}, letterParameters()...),
			output: apitypes.DeadLetterCount{}, status: http.StatusOK, serve: (*request).deleteDeadLetters,
		},
		{
			method: http.MethodPost, path: all + "/replay", name: "postDeadLettersReplay", tag: tagLetters,
			about: "Has dead letters delivered after all, in their order, when the stream runs and has a receiver. One that gets through is deleted; one that is " +
				"refused is a dead letter again. What to replay must be named, or all set to true.",
			input: apitypes.DeadLetterSelection{}, example: map[string]any{"listener": "created", "kind": "refused"},
			output: apitypes.DeadLetterCount{}, status: http.StatusAccepted, serve: (*request).replayDeadLetters,
		},
		{
			method: http.MethodGet, path: one, name: "getDeadLetter", tag: tagLetters,
			about:  "Shows a dead letter with its event.",
			output: apitypes.DeadLetter{}, status: http.StatusOK, serve: (*request).getDeadLetter,
		},
		{
			method: http.MethodPost, path: one + "/replay", name: "postDeadLetterReplay", tag: tagLetters,
			about: "Has a dead letter delivered after all.", input: struct{}{}, optional: true,
			output: apitypes.DeadLetter{}, status: http.StatusAccepted, serve: (*request).replayDeadLetter,
		},
		{
			method: http.MethodDelete, path: one, name: "deleteDeadLetter", tag: tagLetters,
			about: "Deletes a dead letter. Its event is not delivered any more.", status: http.StatusNoContent, serve: (*request).deleteDeadLetter,
		},
	}
}

// selection reads which dead letters the query is about.
func (rq *request) selection() (*apitypes.DeadLetterSelection, error) {
	sel := &apitypes.DeadLetterSelection{
		After: rq.values.Get("after"), Before: rq.values.Get("before"), Listener: rq.values.Get("listener"), Kind: rq.values.Get("kind"),
	}
	var err error
	if sel.All, err = rq.flag("all"); err != nil {
		return nil, err
	}
	if sel.Since, err = rq.time("since"); err != nil {
		return nil, err
	}
	sel.Until, err = rq.time("until")
	return sel, err
}

// time reads a parameter that is a time.
func (rq *request) time(name string) (*fftypes.FFTime, error) {
	if !rq.values.Has(name) {
		return nil, nil //nolint:nilnil // none
	}
	v := rq.values.Get(name)
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return nil, badParameter(name, v, "give a time such as 2026-01-31T12:00:00Z")
	}
	return (*fftypes.FFTime)(&t), nil
}

func (rq *request) getDeadLetters() (any, error) {
	limit, err := rq.limit(rq.api.MaxPage)
	if err != nil {
		return nil, err
	}
	sel, err := rq.selection()
	if err != nil {
		return nil, err
	}
	list, err := rq.api.Streams.DeadLetters(rq.ctx, rq.path("streamId"), sel, limit)
	return array(list, err)
}

func (rq *request) getDeadLetter() (any, error) {
	return object(rq.api.Streams.DeadLetter(rq.ctx, rq.path("streamId"), rq.path("deadLetterId")))
}

func (rq *request) replayDeadLetter() (any, error) {
	if err := rq.nothing(); err != nil {
		return nil, err
	}
	return object(rq.api.Streams.ReplayDeadLetter(rq.ctx, rq.path("streamId"), rq.path("deadLetterId")))
}

func (rq *request) replayDeadLetters() (any, error) {
	sel := &apitypes.DeadLetterSelection{}
	if err := rq.object(sel, shape{of: "a selection of dead letters"}); err != nil {
		return nil, err
	}
	return object(rq.api.Streams.ReplayDeadLetters(rq.ctx, rq.path("streamId"), sel))
}

func (rq *request) deleteDeadLetter() (any, error) {
	return nil, rq.api.Streams.DeleteDeadLetter(rq.ctx, rq.path("streamId"), rq.path("deadLetterId"))
}

func (rq *request) deleteDeadLetters() (any, error) {
	sel, err := rq.selection()
	if err != nil {
		return nil, err
	}
	return object(rq.api.Streams.DeleteDeadLetters(rq.ctx, rq.path("streamId"), sel))
}
