// Package policytest is the suite that every submission policy passes.
//
//	func TestSuite(t *testing.T) { policytest.Run(t, func() policy.Engine { return mypolicy.New(...) }) }
//
// It asks the engine about made-up moments of a transaction's life and checks what the transaction manager relies on: that
// Decide is pure, that it always answers something that can be carried out, and that no transaction is forgotten.
package policytest
