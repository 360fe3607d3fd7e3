// Package lifecycletest is the suite that every lifecycle.Service passes: Stress starts and stops a service from many
// goroutines at once and checks the promises of the interface.
//
//	factory ──▶ service ──▶ {Start, Stop, Stop…} at once ──▶ stopped, once and for all
//
// It needs the race detector and a goleak.VerifyTestMain in the caller's package to see all it can find.
package lifecycletest
