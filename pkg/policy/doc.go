// Package policy is the contract of a submission policy: what to do with a transaction that is not at its end.
//
//	accepted, sent, refused, in a block, Until came
//	        │
//	        ▼
//	View ─▶ Engine.Decide ─▶ Decision{Submit | Prepare | Wait | Reconcile | Fail}
//	                             │
//	                             ▼
//	        the transaction manager carries it out, or refuses it when it would break a rule
//
// An engine decides and does not act: Decide is a pure function of its argument. It makes no call, reads no clock, keeps
// nothing between calls and may be called by many goroutines at once. What it has to remember goes into Decision.State, which is
// stored with the transaction, shown to users, and handed back in the next View.
//
// The rules that protect the ledger are not the engine's: whatever it says, a payload whose fate is open is never replaced and never
// given up, a nonce is never abandoned, and at most one send of a transaction is under way. A decision that would
// break such a rule is taken as Wait, and the engine is asked again later.
//
// Transactions that lost a race are kept out of each other's way: when an engine asks for Prepare, or for a first Submit, of one whose conflict
// keys another one is changing, the decision is carried out when it has its turn. Until then the engine is asked again, with the
// State that it had before.
//
// An engine of your own is registered by name in a plugin.Registry and chosen with the key transactions.policy;
// test/examples/custom-policy is a whole program that does so. Suite: package policytest, which every engine passes.
package policy
