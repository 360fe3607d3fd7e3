package expr

// Occupy takes all the room there is for heavy evaluations, until release is called.
func (c *Compiler) Occupy() (release func()) {
	for range cap(c.heavy) {
		c.heavy <- struct{}{}
	}
	return func() {
		for range cap(c.heavy) {
			<-c.heavy
		}
	}
}

// Limit lets a program do less work than others.
func (p *Program) Limit(share int) { p.meter.work = maxWork / share }
