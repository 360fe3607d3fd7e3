package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/pyralis-io/pyralis/pkg/sink"
)

// The headers of Standard Webhooks.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// sign sets the headers that name the delivery and, with keys, show who made it: one signature for each key, so that a receiver that knows one of them is
// content. The time is that of this attempt; the id is the same at each.
func (h *hook) sign(head http.Header, keys [][]byte, b *sink.Batch, body []byte) {
	id, stamp := h.messageID(b), strconv.FormatInt(h.factory.now().Unix(), 10)
	head.Set(headerID, id)
	head.Set(headerTimestamp, stamp)
	if len(keys) == 0 {
		return
	}
	signatures := make([]string, 0, len(keys))
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + stamp + "."))
		mac.Write(body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	head.Set(headerSignature, strings.Join(signatures, " "))
}

// messageID names the content of a batch: the same events from the same listeners, whenever they are sent. It is made of all their ids for de-duplication,
// because another listener's copy of an event, and a wanted replay, are no repetitions.
func (h *hook) messageID(b *sink.Batch) string {
	sum := sha256.New()
	sum.Write([]byte(h.stream.ID))
	for i := range b.Events {
		sum.Write([]byte{0}) // so that parts cannot run into one another
		sum.Write([]byte(b.Events[i].DedupID()))
	}
	return hex.EncodeToString(sum.Sum(nil))
}
