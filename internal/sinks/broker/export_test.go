package broker

// TextOf is a text that comes out of an expression.
func TextOf(field string, p program) *Text { return &Text{field: field, program: p} }
