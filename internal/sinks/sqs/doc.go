// Package sqs delivers events to queues of Amazon SQS. What it has in common with package sns is in package amazon, with the invariants of both.
package sqs
