package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/hyperledger/firefly-common/pkg/log"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	jsonType = "application/json"

	// maxPooled is the largest buffer that is kept for the next answer.
	maxPooled = 64 << 10
)

// encoder is a JSON encoder with its buffer, kept between answers.
type encoder struct {
	buf  bytes.Buffer
	enc  *json.Encoder
	text appender
}

// borrow takes an empty encoder out of the pool.
func borrow() *encoder {
	e, _ := encoders.Get().(*encoder) // it holds nothing else
	e.buf.Reset()
	e.text.b, e.text.err = e.text.b[:0], nil
	return e
}

func (e *encoder) giveBack() {
	if e.buf.Cap() <= maxPooled && cap(e.text.b) <= maxPooled {
		encoders.Put(e)
	}
}

var encoders = sync.Pool{New: func() any { //nolint:gochecknoglobals // a cache of buffers; it holds no state
	e := &encoder{}
	e.enc = json.NewEncoder(&e.buf)
	e.enc.SetEscapeHTML(false) // what the chain said is passed on as it is
	return e
}}

// answer writes a success. A json.RawMessage goes out as it is; nil is no body at all.
func (a *api) answer(w http.ResponseWriter, r *http.Request, rt *route, status int, v any) {
	switch v := v.(type) {
	case nil:
		w.WriteHeader(status)
		return
	case json.RawMessage:
		if len(v) == 0 {
			v = json.RawMessage("null")
		}
		a.write(w, r, status, v)
		return
	}
	e := borrow()
	defer e.giveBack()
	if e.text.answer(v) {
		a.write(w, r, status, e.text.b)
		return
	}
	if err := e.enc.Encode(v); err != nil {
		a.fail(r.Context(), w, r, rt, err)
		return
	}
	a.write(w, r, status, e.buf.Bytes())
}

func (a *api) write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = jsonHeader
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if _, err := w.Write(body); err != nil && r.Context().Err() == nil {
		log.L(r.Context()).WithError(err).Debug("Answer not delivered")
	}
}

var jsonHeader = []string{jsonType} //nolint:gochecknoglobals // constant

// writeError writes the body of a failure: with submissionRejected if the route is POST /.
func (a *api) writeError(w http.ResponseWriter, r *http.Request, rt *route, status int, text string, rejected bool) {
	var v any = apitypes.ErrorBody{Error: text}
	if rt != nil && rt == a.command {
		v = apitypes.SubmissionErrorBody{Error: text, SubmissionRejected: rejected}
	}
	body, err := json.Marshal(v)
	if err != nil {
		body = []byte(`{"error":"PY10900"}`) // cannot be: the two shapes are text and a flag
	}
	a.write(w, r, status, append(body, '\n'))
}

// retryAfter is a header value: whole seconds, at least one.
func retryAfter(d time.Duration) string { return strconv.FormatInt(retrySeconds(d), 10) }

func retrySeconds(d time.Duration) int64 { return max(1, int64((d+time.Second-1)/time.Second)) }
