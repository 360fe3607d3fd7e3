//go:build !faultpoint

package faultpoint

// Arm reads what is to happen where. Without the tag there is nothing to read.
func Arm() {}

// Visit passes a point.
func Visit(Point) {}

// VisitIf passes a point, on a condition.
func VisitIf(bool, Point) {}
