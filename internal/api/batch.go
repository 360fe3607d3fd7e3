package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/pyralis-io/pyralis/internal/msgs"
	"github.com/pyralis-io/pyralis/pkg/apitypes"
)

func batchRoutes() []*route {
	return []*route{{
		method: http.MethodPost, path: "/transactions/batch", name: "postTransactionBatch", tag: tagTransactions, amongIDs: true,
		about: "Accepts up to 1000 transactions at once: an array of what POST / takes, SendTransaction and DeployContract only. " +
			"Each is accepted or refused by itself; the answers are in the order of the commands. " +
			"Of those of one signer an earlier one gets the lower nonce. It costs much less than as many single requests.",
		input: []Command{}, output: []*apitypes.BatchItem{}, status: http.StatusOK, serve: (*request).batch,
	}}
}

func (rq *request) batch() (any, error) {
	raw, err := rq.body()
	if err != nil {
		return nil, err
	}
	if err := check(raw, '[', "an array of commands"); err != nil {
		return nil, err
	}
	commands := elements(raw)
	if len(commands) > apitypes.MaxBatch {
		return nil, newError(msgs.BatchTooLong, strconv.Itoa(len(commands)), strconv.Itoa(apitypes.MaxBatch))
	}
	answers := make([]*apitypes.BatchItem, len(commands))
	var subs []*apitypes.Submission
	var places []int
	for i, c := range commands {
		s, err := batched(c)
		if err != nil {
			answers[i] = rq.refusal(err)
			continue
		}
		subs, places = append(subs, s), append(places, i)
	}
	for i, done := range rq.api.Transactions.SubmitBatch(rq.ctx, subs) {
		if done.Err != nil {
			answers[places[i]] = rq.refusal(done.Err)
			continue
		}
		answers[places[i]] = &apitypes.BatchItem{Status: http.StatusAccepted, Transaction: done.Transaction, Replay: done.Replay}
	}
	return answers, nil
}

// batched decodes one command of a batch, whose JSON is valid.
func batched(raw json.RawMessage) (*apitypes.Submission, error) {
	if raw[0] != '{' {
		return nil, newError(msgs.BadJSON, "it is "+show(raw)+"; give an object")
	}
	c, err := readCommand(raw)
	if err != nil {
		return nil, err
	}
	if c.kind != apitypes.SendTransaction && c.kind != apitypes.DeployContract {
		return nil, newError(msgs.NotInBatch, cmp.Or(clip(c.kind), "missing"))
	}
	return c.submission(raw)
}

// refusal is what POST / would have answered.
func (rq *request) refusal(err error) *apitypes.BatchItem {
	v := rq.api.explained(rq.ctx, rq.r, err, true)
	item := &apitypes.BatchItem{Status: v.code.Status, Error: v.code.Text(rq.ctx, v.inserts...), SubmissionRejected: v.final}
	if v.busy() {
		item.RetryAfter = retrySeconds(v.retry)
	}
	return item
}
