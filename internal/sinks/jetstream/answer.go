package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/tidwall/gjson"
)

// Errors of JetStream that mean something to us.
const (
	messageTooLarge = 10054 // for the stream
	headerTooLarge  = 10097
	storeFailed     = 10077 // for any reason, which stands in the text
	wrongLastID     = 10070 // another message than the expected one is the last
)

// refusal is the server's no to a message.
type refusal struct {
	Code        int    `json:"code"`
	ErrCode     int    `json:"err_code"`
	Description string `json:"description"`
}

func (r *refusal) Error() string {
	return fmt.Sprintf("JetStream refused the message: %s (error %d, code %d)", r.Description, r.ErrCode, r.Code)
}

// tooLarge says that the message is at fault, and will be refused again.
func (r *refusal) tooLarge() bool {
	return r.ErrCode == messageTooLarge || r.ErrCode == headerTooLarge || r.ErrCode == storeFailed && r.Description == "message too large"
}

// acknowledges reports whether an answer is a yes as servers write it, in a fraction of the time that it takes to find out what any other one is.
func (l *link) acknowledges(answer []byte) bool {
	if !gjson.ValidBytes(answer) {
		return false
	}
	yes := gjson.ParseBytes(answer)
	return yes.Get("stream").Str == l.stream && !yes.Get("error").Exists()
}

// verdict is what an answer says; nil: the message is stored, now or by an earlier delivery.
func (l *link) verdict(m *nats.Msg) error {
	if len(m.Data) == 0 {
		if m.Header.Get("Status") == "503" {
			return fmt.Errorf("no stream takes the subject, or it has no leader now: %w", nats.ErrNoResponders)
		}
		return errors.New("the answer is empty")
	}
	if l.acknowledges(m.Data) {
		return nil
	}
	var ack struct {
		Stream string   `json:"stream"`
		Error  *refusal `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return errors.New("the answer is no acknowledgement")
	}
	switch {
	case ack.Error != nil:
		return ack.Error
	case ack.Stream != l.stream:
		return fmt.Errorf("the stream %q has acknowledged the message, and it is for %q", ack.Stream, l.stream)
	}
	return nil
}
