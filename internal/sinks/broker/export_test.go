package broker

// TextOf is a text that comes out of an expression.
func TextOf(field string, p program) *Text { return &Text{field: field, program: p} }

// Plain is what comes out of an expression without the interpreter, if it can do without.
func Plain(program, event string) (text string, ok bool) { return pathOf(program).of([]byte(event)) }
