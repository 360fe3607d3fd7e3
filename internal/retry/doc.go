// Package retry waits between attempts, and stops waiting when told to.
//
//	fn ──ok──▶ nil
//	 │ └─Permanent─▶ that error
//	 └─error─▶ sleep Delay(attempt), jittered ─▶ fn again          ctx ends: at once, with its cause and the last error
//
// Invariants: the wait before attempt n is never above Backoff.Max; an overflow saturates there; a sleep ends as soon as the
// context does. Without limit by design: how long something is worth trying is the caller's knowledge, put into ctx or into
// Permanent.
package retry
