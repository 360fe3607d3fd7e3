package txn_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
	"github.com/pyralis-io/pyralis/internal/txn"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

// TestChangedWhileItIsPreparedAfresh: what is sent is what the request says now.
func TestChangedWhileItIsPreparedAfresh(t *testing.T) {
	t.Parallel()
	f, ahead := impatient(ffcapi.SentNo)
	asked, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.onPrepare = func(_ context.Context, req *ffcapi.Request) (*ffcapi.Prepared, error) {
		n := f.calls("Prepare")
		if n > 1 && req.To == "assets" {
			once.Do(func() { close(asked) })
			<-answer
		}
		payload := fmt.Sprintf("%s#p%d", req.To, n)
		return &ffcapi.Prepared{Payload: []byte(payload), Hash: hashOf(payload), SendBefore: clock(ahead).Add(time.Hour)}, nil
	}
	r := newRig(t, setup{fake: f, opts: func(o *txn.Options) { o.Now = func() time.Time { return clock(ahead) } }})
	r.submit(submission("a"))
	r.untilSent(1)
	ahead.Store(int64(2 * time.Hour))
	<-asked
	to := "other"
	_, err := r.UpdateTransaction(t.Context(), "a", &apitypes.TransactionUpdate{To: &to})
	require.NoError(t, err)
	close(answer)
	r.until("a", store.SubTracking)
	sends := f.sends()
	require.Contains(t, sends[len(sends)-1].payload, "other#p")
}
