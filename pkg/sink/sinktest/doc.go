// Package sinktest is the suite that every sink passes: it states the contract of package sink as tests.
//
//	func TestContract(t *testing.T) {
//		sinktest.Run(t, func(t *testing.T) sinktest.Fixture { ... })
//	}
//
// The suite plays the engine; the fixture brings a receiver that the suite can tell when to acknowledge, refuse and leave.
package sinktest
