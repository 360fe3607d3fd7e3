package api

import (
	"maps"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// listenerShape has the position among what is read over: FireFly sends an empty one with what it creates.
var listenerShape = shape{of: "a listener", ignore: []string{"checkpoint", "catchup", "complete"}} //nolint:gochecknoglobals // constant

func listenerExample(more map[string]any) map[string]any {
	example := map[string]any{
		"name": "created", "fromBlock": apitypes.FromBlockEarliest,
		"filters": []any{map[string]any{"contract": "assets", "event": "AssetCreated"}},
	}
	maps.Copy(example, more)
	return example
}

// resetParameters are those of the resets.
var resetParameters = []parameter{ //nolint:gochecknoglobals // constant
	{"dryRun", openapi3.TypeBoolean, "Changes nothing, and tells how many events would be delivered again or passed over."},
}

func listenerRoutes() []*route {
	const one = "/eventstreams/{streamId}/listeners/{listenerId}"
	return []*route{
		{
			method: http.MethodGet, path: "/eventstreams/{streamId}/listeners", name: "getListeners", tag: tagStreams,
			about: "Lists the listeners of an event stream in order of creation.", query: pageParameters("listener"),
			output: []*apitypes.ListenerWithStatus{}, status: http.StatusOK, serve: (*request).getListeners,
		},
		{
			method: http.MethodPost, path: "/eventstreams/{streamId}/listeners", name: "postListener", tag: tagStreams,
			about: "Adds a listener to an event stream. The filters of type events are the chain's own; an event that matches one of them is delivered. " +
				"Type blocks delivers every block, type transactions the status changes of transactions. where and transform are jq programs, which " +
				"choose further and change the data.",
			input: apitypes.Listener{}, example: listenerExample(map[string]any{"where": `.data.owner != "bob"`, "transform": `.data | {id, owner}`}),
			output: apitypes.Listener{}, status: http.StatusOK, serve: (*request).createListener,
		},
		{
			method: http.MethodGet, path: one, name: "getListener", tag: tagStreams,
			about:  "Shows a listener and its position.",
			output: apitypes.ListenerWithStatus{}, status: http.StatusOK, serve: (*request).getListener,
		},
		{
			method: http.MethodPatch, path: one, name: "patchListener", tag: tagStreams,
			about: "Changes a listener. Fields that are absent keep their value. The position stays; reset moves it.",
			input: apitypes.Listener{}, output: apitypes.Listener{}, status: http.StatusOK, serve: (*request).updateListener,
		},
		{
			method: http.MethodDelete, path: one, name: "deleteListener", tag: tagStreams,
			about: "Removes a listener from its event stream. Its dead letters stay; they are deleted by themselves or with the stream.", status: http.StatusNoContent, serve: (*request).deleteListener,
		},
		{
			method: http.MethodPost, path: one + "/reset", name: "postListenerReset", tag: tagStreams,
			about: "Moves a listener back to where it began, or to the fromBlock in the body: events are delivered again. A position ahead of it " +
				"passes over what is between. With dryRun nothing is changed, and the events between are counted.",
			query: resetParameters, input: apitypes.Listener{}, optional: true, output: apitypes.ListenerReset{}, status: http.StatusOK, serve: (*request).resetListener,
		},
	}
}

// subscriptionRoutes are the listeners of all streams, as older FireFly clients know them.
func subscriptionRoutes() []*route {
	const one, tag = "/subscriptions/{listenerId}", "Subscriptions"
	return []*route{
		{
			method: http.MethodGet, path: "/subscriptions", name: "getSubscriptions", tag: tag, deprecated: true,
			about: "Lists the listeners of all event streams.", query: pageParameters("listener"),
			output: []*apitypes.ListenerWithStatus{}, status: http.StatusOK, serve: (*request).getListeners,
		},
		{
			method: http.MethodPost, path: "/subscriptions", name: "postSubscription", tag: tag, deprecated: true,
			about: "Adds a listener to the event stream that the field stream names.",
			input: apitypes.Listener{}, example: listenerExample(map[string]any{"stream": "3f2a8a5c-8a0e-4c55-9c7a-0f1d2e3c4b5a"}),
			output: apitypes.Listener{}, status: http.StatusOK, serve: (*request).createSubscription,
		},
		{
			method: http.MethodGet, path: one, name: "getSubscription", tag: tag, deprecated: true,
			about:  "Shows a listener and its position.",
			output: apitypes.ListenerWithStatus{}, status: http.StatusOK, serve: (*request).getListener,
		},
		{
			method: http.MethodPatch, path: one, name: "patchSubscription", tag: tag, deprecated: true,
			about: "Changes a listener.",
			input: apitypes.Listener{}, output: apitypes.Listener{}, status: http.StatusOK, serve: (*request).updateListener,
		},
		{
			method: http.MethodDelete, path: one, name: "deleteSubscription", tag: tag, deprecated: true,
			about: "Removes a listener.", status: http.StatusNoContent, serve: (*request).deleteListener,
		},
		{
			method: http.MethodPost, path: one + "/reset", name: "postSubscriptionReset", tag: tag, deprecated: true,
			about: "Moves a listener back to where it began, or to the fromBlock in the body.",
			query: resetParameters, input: apitypes.Listener{}, optional: true, output: apitypes.ListenerReset{}, status: http.StatusOK, serve: (*request).resetListener,
		},
	}
}

// listener reads a listener from the body.
func (rq *request) listener() (*apitypes.Listener, error) {
	l := &apitypes.Listener{}
	return l, rq.object(l, listenerShape)
}

func (rq *request) getListeners() (any, error) {
	limit, err := rq.limit(rq.api.MaxPage)
	if err != nil {
		return nil, err
	}
	list, err := rq.api.Streams.Listeners(rq.ctx, rq.path("streamId"), limit, rq.values.Get("after"))
	return array(list, err)
}

func (rq *request) createListener() (any, error) {
	l, err := rq.listener()
	if err != nil {
		return nil, err
	}
	return object(rq.api.Streams.CreateListener(rq.ctx, rq.path("streamId"), l))
}

func (rq *request) createSubscription() (any, error) {
	l, err := rq.listener()
	if err != nil {
		return nil, err
	}
	if l.Stream == nil {
		return nil, required("stream", "give the id of an event stream")
	}
	return object(rq.api.Streams.CreateListener(rq.ctx, l.Stream.String(), l))
}

func (rq *request) getListener() (any, error) {
	return object(rq.api.Streams.Listener(rq.ctx, rq.path("streamId"), rq.path("listenerId")))
}

func (rq *request) updateListener() (any, error) {
	l, err := rq.listener()
	if err != nil {
		return nil, err
	}
	return object(rq.api.Streams.UpdateListener(rq.ctx, rq.path("streamId"), rq.path("listenerId"), l))
}

func (rq *request) deleteListener() (any, error) {
	return nil, rq.api.Streams.DeleteListener(rq.ctx, rq.path("streamId"), rq.path("listenerId"))
}

func (rq *request) resetListener() (any, error) {
	l, err := rq.listener()
	if err != nil {
		return nil, err
	}
	dryRun, err := rq.flag("dryRun")
	if err != nil {
		return nil, err
	}
	return object(rq.api.Streams.ResetListener(rq.ctx, rq.path("streamId"), rq.path("listenerId"), l, dryRun))
}

func (rq *request) resetStream() (any, error) {
	r := &apitypes.StreamResetRequest{}
	if err := rq.object(r, shape{of: "a reset"}); err != nil {
		return nil, err
	}
	dryRun, err := rq.flag("dryRun")
	if err != nil {
		return nil, err
	}
	return object(rq.api.Streams.ResetStream(rq.ctx, rq.path("streamId"), r, dryRun))
}
