package apitypes

// MaxBatch is how many commands POST /transactions/batch takes at most.
const MaxBatch = 1000

// Submitted is what became of one submission of a batch.
type Submitted struct {
	Transaction *Transaction // nil with Err
	Replay      bool
	Err         error
}

// BatchItem is the answer to one command of a batch.
type BatchItem struct {
	Status             int          `json:"status" doc:"HTTP status that the command would have had by itself: 202, or that of the error."`
	Transaction        *Transaction `json:"transaction,omitempty" doc:"The transaction, stored."`
	Replay             bool         `json:"replay" doc:"It had been accepted before."`
	Error              string       `json:"error,omitempty" doc:"Code and text of what stands against it."`
	SubmissionRejected bool         `json:"submissionRejected,omitempty" doc:"The refusal is final: the same command cannot succeed, and nothing was stored."`
	RetryAfter         int64        `json:"retryAfter,omitempty" doc:"Seconds after which to try again."`
}
