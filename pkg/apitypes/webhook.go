package apitypes

import "github.com/hyperledger/firefly-common/pkg/fftypes"

// Masked stands in an answer for a secret. Sent back, it keeps the secret that is stored.
const Masked = "********"

// The values of WebhookConfig.Format.
const (
	WebhookArray    = "array"    // the bare array of events
	WebhookEnvelope = "envelope" // a WebhookBatch
)

// WebhookConfig is the sink configuration of a stream of type webhook. Header values and both secrets may be references to secrets ("env:NAME",
// "file:/path", "awssm:name") that the operator has listed; anything else in them is masked in answers.
type WebhookConfig struct {
	URL               string              `json:"url"`                      // http or https; what follows the host is masked in answers
	Headers           map[string]string   `json:"headers,omitempty"`        // sent with each request
	Secret            string              `json:"secret,omitempty"`         // "whsec_" and 24 to 64 bytes in base64: requests are signed (Standard Webhooks)
	PreviousSecret    string              `json:"previousSecret,omitempty"` // requests are signed with it as well, until all receivers know the new one
	Format            string              `json:"format"`                   // array (default) | envelope
	TLSSkipHostVerify bool                `json:"tlsSkipHostVerify"`        // true: any certificate will do
	RequestTimeout    *fftypes.FFDuration `json:"requestTimeout,omitempty"` // for one request and its answer; default 30s, 10m at most
}

// WebhookBatch is the body of a request with the format envelope.
type WebhookBatch struct {
	BatchNumber int64   `json:"batchNumber"`
	Attempt     int     `json:"attempt"` // from 1
	StreamID    string  `json:"streamId"`
	Events      []Event `json:"events"`
}
