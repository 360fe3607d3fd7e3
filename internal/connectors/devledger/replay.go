package devledger

// replay puts stored blocks on the chain again when a ledger is opened.
//
// A block with the number of an earlier one replaces it and what follows it. From the first of those on only the entries are kept up, and
// the effects are made once, at the end: undoing them at each reorganisation would take as many passes as there were.
type replay struct {
	l      *ledger
	behind bool // the chain has entries whose effects are missing
}

// frame takes the next frame of the log.
func (r *replay) frame(frame []byte, pos int64) error {
	l := r.l
	b, hash, err := decodeBlock(frame)
	if err != nil {
		return err
	}
	if b.number == 0 {
		if err := l.checkGenesis(b); err != nil {
			return err
		}
	}
	if b.number > 0 && b.number < l.chain.length() {
		if r.behind {
			l.chain.cut(b.number)
		} else {
			l.chain, r.behind = l.chain.fork(b.number), true
		}
	}
	if err := l.chain.link(b); err != nil {
		return err
	}
	e := entry{pos: pos, time: b.time, size: uint32(len(frame)), events: b.events(), hash: hash}
	if r.behind {
		l.chain.entries = append(l.chain.entries, e)
		return nil
	}
	return l.chain.apply(b, e)
}

// finish makes the effects that are missing.
func (r *replay) finish() (err error) {
	if r.behind {
		r.l.chain, err = r.l.rewound(r.l.chain.length())
	}
	return err
}

// rewound returns a chain with the blocks below number and their effects.
func (l *ledger) rewound(number uint64) (*chain, error) {
	kept := l.chain.fork(number)
	c := newChain(kept.rules, nil)
	c.parents = kept.parents
	for _, e := range kept.entries {
		frame, err := l.store.read(e.pos, e.size)
		if err != nil {
			return nil, err
		}
		b, _, err := decodeBlock(frame)
		if err != nil {
			return nil, err
		}
		if err := c.apply(b, e); err != nil {
			return nil, err
		}
	}
	return c, nil
}
