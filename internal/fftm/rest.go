package fftm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

const (
	// requestTimeout bounds one request.
	requestTimeout = 30 * time.Second
	// maxAnswer bounds one answer: FFTM answers with whole lists.
	maxAnswer = 256 << 20
)

// unknownPosition is a listener that FFTM tells no position of.
var unknownPosition = unplaced{"FFTM tells no position of it, as it does for streams that are stopped and for listeners of blocks", "resume the stream there, or read the database"}

// ReadAPI reads the streams of an FFTM over its REST API. A position there is how far the connector has read, so it is to be set back; to set it
// back by nothing is only right if everything that was read is acknowledged. base may hold a user name and a password.
func ReadAPI(ctx context.Context, base string, o Options) ([]*apitypes.MovedStream, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, errors.New("this is no URL of an FFTM, such as http://127.0.0.1:5008") // it may hold a password
	}
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, errors.New("the default transport is none of net/http")
	}
	transport = transport.Clone()
	defer transport.CloseIdleConnections()
	f := &fftm{base: u, client: &http.Client{Transport: transport, Timeout: requestTimeout}}
	var list []json.RawMessage
	if err := f.get(ctx, &list, "eventstreams"); err != nil {
		return nil, err
	}
	streams := make([]*apitypes.MovedStream, 0, len(list))
	for _, raw := range list {
		s, err := newStream(raw)
		if err != nil {
			return nil, err
		}
		if err := f.listeners(ctx, s, o); err != nil {
			return nil, err
		}
		streams = append(streams, s)
	}
	oldestFirst(streams)
	return streams, nil
}

type fftm struct {
	base   *url.URL
	client *http.Client
}

// listeners reads the listeners of a stream one by one: only one by one do they come with their positions.
func (f *fftm) listeners(ctx context.Context, s *apitypes.MovedStream, o Options) error {
	id := s.ID.String()
	var list []json.RawMessage
	if err := f.get(ctx, &list, "eventstreams", id, "listeners"); err != nil {
		return err
	}
	for _, raw := range list {
		l, err := newListener(raw)
		if err != nil {
			return err
		}
		var with struct {
			Checkpoint json.RawMessage `json:"checkpoint"`
		}
		if err := f.get(ctx, &with, "eventstreams", id, "listeners", l.ID.String()); err != nil {
			return err
		}
		o.place(l, with.Checkpoint, unknownPosition)
		if l.Position != nil {
			l.Notes = append(l.Notes, fmt.Sprintf("%d blocks before what FFTM had read", o.Back))
		}
		s.Listeners = append(s.Listeners, l)
	}
	return nil
}

// get decodes an answer.
func (f *fftm) get(ctx context.Context, into any, path ...string) (err error) {
	target := f.base.JoinPath(path...)
	defer func() {
		if err != nil {
			err = fmt.Errorf("GET %s: %w", target.Redacted(), err)
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := f.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the URL is said already, without its password
		}
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %.500s", resp.Status, body)
	case len(body) > maxAnswer:
		return fmt.Errorf("the answer has more than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("the answer is not that of an FFTM: %w", err)
	}
	return nil
}
