package awstest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// Region and account of everything that is there.
const (
	Region  = "eu-central-1"
	Account = "123456789012"
)

// Server is the three services at one address. All methods are safe for concurrent use.
type Server struct {
	URL string

	keys map[string]string
	http *httptest.Server

	mu      sync.Mutex
	ahead   time.Duration                            // guarded by mu: of the machine's clock
	queues  map[string]*queue                        // guarded by mu, by URL
	topics  map[string]*topic                        // guarded by mu, by ARN
	secrets map[string]string                        // guarded by mu, by name
	on      func(ctx context.Context, c *Call) Fault // guarded by mu
	calls   []Call                                   // guarded by mu
	news    chan struct{}                            // guarded by mu; closed when something changes
	ids     int                                      // guarded by mu
}

// Call is a request.
type Call struct {
	Action   string    // e.g. "SendMessageBatch"
	Target   string    // URL of the queue, ARN of the topic, id of the secret
	Key      string    // access key id of who asks
	Token    string    // session token, "" for none
	Messages []Message // that are to be sent
}

// Fault is what goes wrong with a call. The zero Fault is nothing.
type Fault struct {
	Code, Text string        // the call is refused, with nothing done
	Status     int           // of the refusal; 0: 400
	RetryAfter string        // header of the refusal
	Cut        bool          // the connection is cut, with nothing done
	Lose       bool          // what is asked for is done, and the connection is cut
	After      func()        // runs when it is done, before the answer
	Entries    map[int]Entry // entries of a batch that fail, by index
}

// Entry is what goes wrong with an entry of a batch.
type Entry struct {
	Code, Text string
	Sender     bool // the sender is at fault
}

// New starts a server. keys are access key ids with their secrets; nil: whoever asks may.
func New(keys map[string]string) *Server {
	s := &Server{
		keys: keys, queues: make(map[string]*queue), topics: make(map[string]*topic), secrets: make(map[string]string), news: make(chan struct{}),
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL
	return s
}

// Close ends the server and cuts all connections.
func (s *Server) Close() {
	s.http.CloseClientConnections()
	s.http.Close()
}

// On has a function asked what is to go wrong with each call, before anything is done. It may wait; ctx ends with the connection.
func (s *Server) On(f func(ctx context.Context, c *Call) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.on = f
}

// Calls are all calls with an action until now.
func (s *Server) Calls(action string) (calls []Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c.Action == action {
			calls = append(calls, c)
		}
	}
	return calls
}

// Advance moves the clock on.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
	s.changed()
}

// now is the time. The caller holds mu.
func (s *Server) now() time.Time { return time.Now().Add(s.ahead) }

// changed wakes those who wait for news. The caller holds mu.
func (s *Server) changed() {
	close(s.news)
	s.news = make(chan struct{})
}

// id makes an id that is like no other. The caller holds mu.
func (s *Server) id() string {
	s.ids++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", s.ids)
}

// refusal is an error answer.
type refusal struct {
	status     int
	code, text string
	retryAfter string
}

func (r *refusal) Error() string { return r.code + ": " + r.text }

func refuse(code, format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, text: fmt.Sprintf(format, args...)}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var p protocol = query{}
	service, action, isJSON := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if isJSON {
		p = inJSON{service: service, action: action}
	}
	call, do, bad := p.read(s, r, body)
	if bad == nil {
		call.Key, call.Token = signer(r), r.Header.Get("X-Amz-Security-Token")
		bad = s.authenticate(r, body)
	}
	if bad != nil {
		p.refuse(w, bad)
		return
	}
	f := s.fault(r.Context(), call)
	switch {
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.Code != "":
		bad = &refusal{status: f.Status, code: f.Code, text: f.Text, retryAfter: f.RetryAfter}
		if bad.status == 0 {
			bad.status = http.StatusBadRequest
		}
		p.refuse(w, bad)
		return
	}
	answer, bad := do(r.Context(), f.Entries)
	if f.After != nil {
		f.After()
	}
	switch {
	case f.Lose:
		panic(http.ErrAbortHandler)
	case bad != nil:
		p.refuse(w, bad)
	default:
		p.answer(w, answer)
	}
}

// fault notes a call and asks what is to go wrong with it.
func (s *Server) fault(ctx context.Context, c *Call) Fault {
	s.mu.Lock()
	s.calls = append(s.calls, *c)
	on := s.on
	s.mu.Unlock()
	if on == nil {
		return Fault{}
	}
	return on(ctx, c)
}

// deed is what a call is to bring about. Entries of a batch that are to fail come by their index.
type deed func(ctx context.Context, fail map[int]Entry) (any, *refusal)

// protocol is how requests and answers are written.
type protocol interface {
	read(s *Server, r *http.Request, body []byte) (*Call, deed, *refusal)
	answer(w http.ResponseWriter, answer any)
	refuse(w http.ResponseWriter, bad *refusal)
}
