package api

import (
	"encoding/json"
	"net/http"
)

const tagStatus = "Status"

// liveStatus and readyStatus are FireFly's shapes.
type liveStatus struct {
	Up bool `json:"up" doc:"The process works."`
}

type readyStatus struct {
	Ready   bool            `json:"ready" doc:"It can do its work now."`
	Details json.RawMessage `json:"downstreamDetails,omitempty" doc:"More about the store and the chain."`
}

func statusRoutes() []*route {
	const live = "Tells whether the node lives: up is true with 200, false with 503."
	return []*route{
		{
			method: http.MethodGet, path: "/status", name: "getStatus", tag: tagStatus, about: live,
			output: liveStatus{}, status: http.StatusOK, serve: (*request).getLive,
		},
		{
			method: http.MethodGet, path: "/status/live", name: "getStatusLive", tag: tagStatus, about: live,
			output: liveStatus{}, status: http.StatusOK, serve: (*request).getLive,
		},
		{
			method: http.MethodGet, path: "/status/ready", name: "getStatusReady", tag: tagStatus,
			about: "Tells whether the node can do its work now: ready is true with 200, false with 503. " +
				"downstreamDetails says more about the store and the chain.",
			output: readyStatus{}, status: http.StatusOK, serve: (*request).getReady,
		},
	}
}

func (rq *request) getLive() (any, error) {
	live := rq.api.Live()
	rq.unless(live)
	return liveStatus{Up: live}, nil
}

func (rq *request) getReady() (any, error) {
	ready, details := rq.api.Ready(rq.ctx)
	rq.unless(ready)
	return readyStatus{Ready: ready, Details: details}, nil
}

// unless answers with 503 unless all is well: what watches a node looks at the status code.
func (rq *request) unless(well bool) {
	if !well {
		rq.status = http.StatusServiceUnavailable
	}
}
