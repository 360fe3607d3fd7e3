package node

import (
	"context"
	"errors"
	"slices"

	"github.com/pyralis-io/pyralis/internal/lifecycle"
	"github.com/pyralis-io/pyralis/internal/stream"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// ImportOptions say how streams of another server are taken over.
type ImportOptions = stream.ImportOptions

// Import takes streams of another server over into the store that the configuration names, which no node may be using. Listeners are checked by
// the connector, so the chain must be there. The entries say what became of each stream and listener.
func Import(ctx context.Context, o Options, streams []*apitypes.MovedStream, how ImportOptions) (entries []apitypes.ImportEntry, err error) {
	n, err := New(ctx, o)
	if err != nil {
		return nil, err
	}
	// Of all the parts only those up to the connector are needed.
	parts := n.parts[:1+slices.IndexFunc(n.parts, func(p lifecycle.Named) bool { return p.Name == n.cfg.Connector })]
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.stopTimeout)
		defer cancel()
		err = errors.Join(err, lifecycle.StopAll(stopping, parts...), n.close(stopping))
	}()
	if err := lifecycle.StartAll(ctx, parts...); err != nil {
		return nil, err
	}
	return n.streams.Import(ctx, streams, how)
}
