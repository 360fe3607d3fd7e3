//go:build !race

package expr_test

const share = 1
