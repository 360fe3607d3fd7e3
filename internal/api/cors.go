package api

import (
	"net/http"
	"strings"
)

const (
	corsMethods = "GET, POST, PATCH, DELETE"
	corsMaxAge  = "600" // seconds
)

// cors lets pages of the configured origins use the API. It reports whether the request is answered with that.
func (a *api) cors(w http.ResponseWriter, r *http.Request) (answered bool) {
	origin := r.Header.Get("Origin")
	w.Header().Add("Vary", "Origin")
	if origin == "" || !a.origins["*"] && !a.origins[strings.ToLower(origin)] {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", strings.Join([]string{replayHeader, "Retry-After"}, ", "))
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", strings.Join([]string{"Content-Type", timeoutHeader, "X-FireFly-Request-ID"}, ", "))
	h.Set("Access-Control-Max-Age", corsMaxAge)
	w.WriteHeader(http.StatusNoContent)
	return true
}
