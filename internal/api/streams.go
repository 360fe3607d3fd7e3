package api

import (
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const tagStreams = "Event streams"

var streamShape = shape{of: "an event stream", ignore: []string{"status", "state"}} //nolint:gochecknoglobals // constant

// pageParameters are those of the lists of streams and listeners. Without a limit they give all that a page may hold: FireFly
// asks for all of them, and looks for its own by name.
func pageParameters(what string) []parameter {
	return []parameter{
		{"limit", openapi3.TypeInteger, "Items at most. As many as api.maxPage allows if absent."},
		{"after", "", "Id of the last " + what + " of the page before."},
	}
}

func streamRoutes() []*route {
	return []*route{
		{
			method: http.MethodGet, path: "/eventstreams", name: "getEventStreams", tag: tagStreams,
			about: "Lists event streams in order of creation.", query: pageParameters("stream"),
			output: []*apitypes.EventStreamWithStatus{}, status: http.StatusOK, serve: (*request).getStreams,
		},
		{
			method: http.MethodPost, path: "/eventstreams", name: "postEventStream", tag: tagStreams,
			about: "Creates an event stream. Its name must not be taken; it is also the topic that WebSocket clients listen to.",
			input: apitypes.EventStream{}, example: map[string]any{"name": "orders", "type": "websocket", "batchSize": 50, "batchTimeout": "500ms"},
			output: apitypes.EventStream{}, status: http.StatusOK, serve: (*request).createStream,
		},
		{
			method: http.MethodGet, path: "/eventstreams/{streamId}", name: "getEventStream", tag: tagStreams,
			about:  "Shows an event stream and what it is doing.",
			output: apitypes.EventStreamWithStatus{}, status: http.StatusOK, serve: (*request).getStream,
		},
		{
			method: http.MethodPatch, path: "/eventstreams/{streamId}", name: "patchEventStream", tag: tagStreams,
			about: "Changes an event stream. Fields that are absent keep their value. No event is lost or skipped by it.",
			input: apitypes.EventStream{}, example: map[string]any{"batchSize": 100},
			output: apitypes.EventStream{}, status: http.StatusOK, serve: (*request).updateStream,
		},
		{
			method: http.MethodDelete, path: "/eventstreams/{streamId}", name: "deleteEventStream", tag: tagStreams,
			about: "Deletes an event stream with its listeners and dead letters.", status: http.StatusNoContent, serve: (*request).deleteStream,
		},
		{
			method: http.MethodPost, path: "/eventstreams/{streamId}/suspend", name: "postEventStreamSuspend", tag: tagStreams,
			about: "Stops delivery until resumed. The position is kept.", input: struct{}{}, optional: true,
			output: struct{}{}, status: http.StatusOK, serve: (*request).suspendStream,
		},
		{
			method: http.MethodPost, path: "/eventstreams/{streamId}/reset", name: "postEventStreamReset", tag: tagStreams,
			about: "Moves all listeners of an event stream at once: to the fromBlock in the body, or each back to where it began. See the reset of a listener.",
			query: resetParameters, input: apitypes.StreamResetRequest{}, optional: true, example: map[string]any{"fromBlock": "earliest"},
			output: apitypes.StreamReset{}, status: http.StatusOK, serve: (*request).resetStream,
		},
		{
			method: http.MethodPost, path: "/eventstreams/{streamId}/resume", name: "postEventStreamResume", tag: tagStreams,
			about: "Goes on where delivery was suspended.", input: struct{}{}, optional: true,
			output: struct{}{}, status: http.StatusOK, serve: (*request).resumeStream,
		},
	}
}

func (rq *request) getStreams() (any, error) {
	limit, err := rq.limit(rq.api.MaxPage)
	if err != nil {
		return nil, err
	}
	list, err := rq.api.Streams.Streams(rq.ctx, limit, rq.values.Get("after"))
	return array(list, err)
}

// stream reads an event stream from the body.
func (rq *request) stream() (*apitypes.EventStream, error) {
	s := &apitypes.EventStream{}
	return s, rq.object(s, streamShape)
}

func (rq *request) createStream() (any, error) {
	s, err := rq.stream()
	if err != nil {
		return nil, err
	}
	return object(rq.api.Streams.CreateStream(rq.ctx, s))
}

func (rq *request) updateStream() (any, error) {
	s, err := rq.stream()
	if err != nil {
		return nil, err
	}
	return object(rq.api.Streams.UpdateStream(rq.ctx, rq.path("streamId"), s))
}

func (rq *request) getStream() (any, error) {
	return object(rq.api.Streams.Stream(rq.ctx, rq.path("streamId")))
}

func (rq *request) deleteStream() (any, error) {
	return nil, rq.api.Streams.DeleteStream(rq.ctx, rq.path("streamId"))
}

func (rq *request) suspendStream() (any, error) {
	if err := rq.nothing(); err != nil {
		return nil, err
	}
	return struct{}{}, rq.api.Streams.SuspendStream(rq.ctx, rq.path("streamId"))
}

func (rq *request) resumeStream() (any, error) {
	if err := rq.nothing(); err != nil {
		return nil, err
	}
	return struct{}{}, rq.api.Streams.ResumeStream(rq.ctx, rq.path("streamId"))
}
