package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hyperledger/firefly-common/pkg/fftypes"

	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// DeadLetters lists the dead letters of an event stream that a selection names, or all, in the order in which they were set aside and without
// their events. A limit of 0 leaves the length of the page to the server. The next page is that with After set to the Sequence of the
// last one.
func (c *Client) DeadLetters(ctx context.Context, stream string, sel apitypes.DeadLetterSelection, limit int) ([]*apitypes.DeadLetter, error) {
	q := selection(sel)
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	q.Del("all")
	var list []*apitypes.DeadLetter
	_, err := c.call(ctx, http.MethodGet, path("eventstreams", stream, "deadletters"), q, nil, &list)
	return list, err
}

// DeadLetter returns a dead letter with its event.
func (c *Client) DeadLetter(ctx context.Context, stream, id string) (*apitypes.DeadLetter, error) {
	return c.letter(ctx, http.MethodGet, path("eventstreams", stream, "deadletters", id))
}

// ReplayDeadLetter has a dead letter delivered after all, when the stream runs and has a receiver.
func (c *Client) ReplayDeadLetter(ctx context.Context, stream, id string) (*apitypes.DeadLetter, error) {
	return c.letter(ctx, http.MethodPost, path("eventstreams", stream, "deadletters", id, "replay"))
}

func (c *Client) letter(ctx context.Context, method, path string) (*apitypes.DeadLetter, error) {
	l := &apitypes.DeadLetter{}
	if _, err := c.call(ctx, method, path, nil, nil, l); err != nil {
		return nil, err
	}
	return l, nil
}

// ReplayDeadLetters is ReplayDeadLetter of those that a selection names, and returns how many they are.
func (c *Client) ReplayDeadLetters(ctx context.Context, stream string, sel apitypes.DeadLetterSelection) (int64, error) {
	var n apitypes.DeadLetterCount
	_, err := c.call(ctx, http.MethodPost, path("eventstreams", stream, "deadletters", "replay"), nil, sel, &n)
	return n.Count, err
}

// DeleteDeadLetter deletes a dead letter. Its event is not delivered any more.
func (c *Client) DeleteDeadLetter(ctx context.Context, stream, id string) error {
	_, err := c.call(ctx, http.MethodDelete, path("eventstreams", stream, "deadletters", id), nil, nil, nil)
	return err
}

// DeleteDeadLetters deletes those that a selection names, and returns how many they were.
func (c *Client) DeleteDeadLetters(ctx context.Context, stream string, sel apitypes.DeadLetterSelection) (int64, error) {
	var n apitypes.DeadLetterCount
	_, err := c.call(ctx, http.MethodDelete, path("eventstreams", stream, "deadletters"), selection(sel), nil, &n)
	return n.Count, err
}

func selection(sel apitypes.DeadLetterSelection) url.Values {
	q := url.Values{}
	if sel.All {
		q.Set("all", strconv.FormatBool(true))
	}
	for name, v := range map[string]string{"after": sel.After, "before": sel.Before, "listener": sel.Listener, "kind": sel.Kind} {
		if v != "" {
			q.Set(name, v)
		}
	}
	for name, t := range map[string]*fftypes.FFTime{"since": sel.Since, "until": sel.Until} {
		if t != nil {
			q.Set(name, time.Time(*t).UTC().Format(time.RFC3339Nano))
		}
	}
	return q
}
