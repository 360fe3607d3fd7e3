// Package awstest stands in for Amazon SQS, SNS and Secrets Manager in tests. It speaks their protocols over HTTP, so that everything up to it is real: the
// AWS SDK, its signatures, its checksums.
//
//	client ─ AWS SDK ─ HTTP ─▶ signature ─▶ Server.On ─▶ queue | topic | secret ─▶ answer, or none
//
// A queue or topic whose name ends in .fifo keeps the order of each group and takes a message of one de-duplication id once within 5 minutes; a
// message that was received is out of sight for the visibility timeout, and in a FIFO queue its whole group with it. Time is the machine's, and
// Advance moves it on.
package awstest
