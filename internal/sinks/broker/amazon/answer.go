package amazon

import (
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Answer gathers what the answer to a call says of its messages, by the ids that they had in it.
type Answer struct {
	taken  map[string]bool
	failed map[string]*Refusal
}

// ID is the id of a message in a call.
func ID(index int) *string { return aws.String(strconv.Itoa(index)) }

// Text is a text as the SDK wants it: nil of nothing.
func Text(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Took notes that a message was taken.
func (a *Answer) Took(id *string) {
	if a.taken == nil {
		a.taken = make(map[string]bool)
	}
	a.taken[aws.ToString(id)] = true
}

// Refused notes that a message was refused.
func (a *Answer) Refused(id, code, text *string, senderFault bool) {
	if a.failed == nil {
		a.failed = make(map[string]*Refusal)
	}
	a.failed[aws.ToString(id)] = &Refusal{Code: aws.ToString(code), Text: aws.ToString(text), SenderFault: senderFault}
}

// Refusals are what Client.Send has to return for so many messages: what the answer does not speak of was not taken.
func (a *Answer) Refusals(messages int) map[int]*Refusal {
	refused := make(map[int]*Refusal)
	for i := range messages {
		id := *ID(i)
		switch bad := a.failed[id]; {
		case bad != nil:
			refused[i] = bad
		case !a.taken[id]:
			refused[i] = &Refusal{Code: "Unanswered", Text: fmt.Sprintf("the answer does not speak of message %d of the call", i)}
		}
	}
	return refused
}
