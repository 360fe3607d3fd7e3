package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// Streams lists event streams in order of creation. A limit of 0 leaves the length of the page to the server.
func (c *Client) Streams(ctx context.Context, limit int, after string) ([]*apitypes.EventStreamWithStatus, error) {
	var list []*apitypes.EventStreamWithStatus
	_, err := c.call(ctx, http.MethodGet, "/eventstreams", page(limit, after), nil, &list)
	return list, err
}

// Stream returns an event stream, found by id or name.
func (c *Client) Stream(ctx context.Context, stream string) (*apitypes.EventStreamWithStatus, error) {
	s := &apitypes.EventStreamWithStatus{}
	if _, err := c.call(ctx, http.MethodGet, path("eventstreams", stream), nil, nil, s); err != nil {
		return nil, err
	}
	return s, nil
}

// CreateStream creates an event stream. An error that IsConflict says that the name is taken.
func (c *Client) CreateStream(ctx context.Context, s *apitypes.EventStream) (*apitypes.EventStream, error) {
	return c.stream(ctx, http.MethodPost, "/eventstreams", s)
}

// UpdateStream changes the fields of an event stream that are not nil.
func (c *Client) UpdateStream(ctx context.Context, stream string, s *apitypes.EventStream) (*apitypes.EventStream, error) {
	return c.stream(ctx, http.MethodPatch, path("eventstreams", stream), s)
}

func (c *Client) stream(ctx context.Context, method, path string, s *apitypes.EventStream) (*apitypes.EventStream, error) {
	answer := &apitypes.EventStream{}
	if _, err := c.call(ctx, method, path, nil, s, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// DeleteStream deletes an event stream with its listeners and dead letters.
func (c *Client) DeleteStream(ctx context.Context, stream string) error {
	_, err := c.call(ctx, http.MethodDelete, path("eventstreams", stream), nil, nil, nil)
	return err
}

// SuspendStream stops the delivery of an event stream.
func (c *Client) SuspendStream(ctx context.Context, stream string) error {
	_, err := c.call(ctx, http.MethodPost, path("eventstreams", stream, "suspend"), nil, nil, nil)
	return err
}

// ResumeStream goes on where the delivery was suspended.
func (c *Client) ResumeStream(ctx context.Context, stream string) error {
	_, err := c.call(ctx, http.MethodPost, path("eventstreams", stream, "resume"), nil, nil, nil)
	return err
}

// Listeners lists the listeners of an event stream, or of all if stream is "", with their positions, in order of creation.
func (c *Client) Listeners(ctx context.Context, stream string, limit int, after string) ([]*apitypes.ListenerWithStatus, error) {
	target := "/subscriptions"
	if stream != "" {
		target = path("eventstreams", stream, "listeners")
	}
	var list []*apitypes.ListenerWithStatus
	_, err := c.call(ctx, http.MethodGet, target, page(limit, after), nil, &list)
	return list, err
}

// Listener returns a listener with its position.
func (c *Client) Listener(ctx context.Context, stream, listener string) (*apitypes.ListenerWithStatus, error) {
	l := &apitypes.ListenerWithStatus{}
	if _, err := c.call(ctx, http.MethodGet, listenerPath(stream, listener), nil, nil, l); err != nil {
		return nil, err
	}
	return l, nil
}

// CreateListener adds a listener to an event stream.
func (c *Client) CreateListener(ctx context.Context, stream string, l *apitypes.Listener) (*apitypes.Listener, error) {
	return c.listener(ctx, http.MethodPost, path("eventstreams", stream, "listeners"), l)
}

// UpdateListener changes the fields of a listener that are not nil. Its position stays.
func (c *Client) UpdateListener(ctx context.Context, stream, listener string, l *apitypes.Listener) (*apitypes.Listener, error) {
	return c.listener(ctx, http.MethodPatch, listenerPath(stream, listener), l)
}

// ResetListener moves a listener back to where it began, or to from if that is not nil. A dry run changes nothing and counts events.
func (c *Client) ResetListener(ctx context.Context, stream, listener string, from *apitypes.BlockNumber, dryRun bool) (*apitypes.ListenerReset, error) {
	answer := &apitypes.ListenerReset{}
	_, err := c.call(ctx, http.MethodPost, listenerPath(stream, listener)+"/reset", dry(dryRun), &apitypes.Listener{FromBlock: from}, answer)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// ResetStream moves all listeners of an event stream at once, as ResetListener does.
func (c *Client) ResetStream(ctx context.Context, stream string, from *apitypes.BlockNumber, dryRun bool) (*apitypes.StreamReset, error) {
	answer := &apitypes.StreamReset{}
	_, err := c.call(ctx, http.MethodPost, path("eventstreams", stream, "reset"), dry(dryRun), &apitypes.StreamResetRequest{FromBlock: from}, answer)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func dry(run bool) url.Values {
	if !run {
		return nil
	}
	return url.Values{"dryRun": {"true"}}
}

// DeleteListener removes a listener from its event stream. Its dead letters stay.
func (c *Client) DeleteListener(ctx context.Context, stream, listener string) error {
	_, err := c.call(ctx, http.MethodDelete, listenerPath(stream, listener), nil, nil, nil)
	return err
}

func (c *Client) listener(ctx context.Context, method, path string, l *apitypes.Listener) (*apitypes.Listener, error) {
	answer := &apitypes.Listener{}
	if _, err := c.call(ctx, method, path, nil, l, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

func listenerPath(stream, listener string) string {
	return path("eventstreams", stream, "listeners", listener)
}
