//go:build race

package expr_test

// share of the work that programs may do in tests that use it up: the race detector makes it some ten times slower.
const share = 20
