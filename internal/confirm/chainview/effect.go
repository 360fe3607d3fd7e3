package chainview

// Effect is what a block did to the view: one of the types of this file.
type Effect interface{ effect() }

// Extended says that the block is the new head, on top of the old one.
type Extended struct{}

// Repeated says that the block is known, or is below everything the view can judge.
type Repeated struct{}

// Reorganised says that the blocks above Fork are no longer canonical. The block given to Step is the new head; its number is Fork+1, or
// Fork itself when the fork was found, or assumed, below the retained hashes.
type Reorganised struct{ Fork uint64 }

// Gap says that blocks are missing. The next one the view can take has number From.
type Gap struct{ From uint64 }

// Fetch says that the block is on another branch, which the view cannot place yet. Step wants the canonical block Number next.
type Fetch struct{ Number uint64 }

// Broken says that the ledger contradicts itself, or its promise of finality. Nothing may be trusted any more.
type Broken struct{ Reason string }

func (Extended) effect()    {}
func (Repeated) effect()    {}
func (Reorganised) effect() {}
func (Gap) effect()         {}
func (Fetch) effect()       {}
func (Broken) effect()      {}
