// Package sns publishes events to topics of Amazon SNS. What it has in common with package sqs is in package amazon, with the invariants of both.
package sns
