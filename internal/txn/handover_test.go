package txn

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/pyralis-io/pyralis/ffcapi"
	"github.com/pyralis-io/pyralis/internal/store"
)

// TestAHandoverHasTheWholeAttempt: what is not read from the store must be what is stored there.
func TestAHandoverHasTheWholeAttempt(t *testing.T) {
	t.Parallel()
	p := &ffcapi.Prepared{
		Ledger: "ch1", Hash: "0xab", Expires: 77, Exclusive: "one", ConflictKeys: []string{"k"}, Payload: []byte("p"), Result: []byte(`1`),
		Sensitive: true, SendBefore: time.Now(),
	}
	nonce := uint64(7)
	n := &store.NewTx{Attempt: attemptOf(p, "alice"), Payload: payloadOf(p)}
	n.Attempt.Number = 1
	h := handoverOf(&store.Tx{ID: "tx", Ledger: "ch1", From: "alice", Nonce: &nonce}, n)
	want := n.Attempt
	want.Tx, want.Nonce = "tx", &nonce
	require.Equal(t, want, h.attempt())
	require.Equal(t, n.Payload, h.payload)
}

// TestAHandoverIsSmall: there are sixteen thousand of them in a burst.
func TestAHandoverIsSmall(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, unsafe.Sizeof(handover{}), uintptr(176))
}
