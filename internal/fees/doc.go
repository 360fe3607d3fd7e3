// Package fees knows what to offer for a transaction: nothing, always the same, what the connector estimates, or what an oracle on the
// web answers.
//
//	txn ─▶ Source.Fee ─▶ cache ─▶ connector.EstimateFee
//	                       │
//	                       └────▶ HTTP request ─▶ JSON ─▶ Go template ─▶ JSON
//
// A fee that was asked for is used for queryInterval; then one caller asks again while the others wait for his answer. While nobody
// answers, the old one is used until it is maxAge old, and the question is repeated no more often than every few seconds. After that
// there is an error, and the transaction manager decides: with fees.required it waits, else it offers nothing.
//
// Answers are bounded, redirects are not followed, and neither errors nor logs show query parameters, headers or passwords.
package fees
