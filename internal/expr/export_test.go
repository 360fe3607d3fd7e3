package expr

import "context"

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

// NewOf makes a compiler of whose programs so many may take much at once.
func NewOf(slots int) *Compiler { return &Compiler{heavy: make(chan struct{}, slots)} }

// Limit lets a program do less work than others.
func (p *Program) Limit(share int) { p.meter.work = maxWork / share }

// Decode reads an event.
func Decode(event []byte) (any, error) {
	m := newMeter(make(chan struct{}, 1))
	m.begin(context.Background())
	defer m.finish()
	return m.decode(event)
}
