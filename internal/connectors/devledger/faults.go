package devledger

import (
	"math/rand/v2"
	"sync"
)

// Faults make a ledger go wrong by itself, as bad nodes and bad chains do. Chances are in percent.
type Faults struct {
	// Seed of the chances; 0: another one at each start.
	Seed uint64 `mapstructure:"seed" json:"seed"`
	// LoseAnswers is the chance that a Submit takes effect and answers Timeout.
	LoseAnswers int `mapstructure:"loseAnswers" json:"loseAnswers"`
	// Duplicate is the chance that a transaction is in its block twice. The second entry is refused, and never listed.
	Duplicate int `mapstructure:"duplicate" json:"duplicate"`
	// Drop is the chance that a transaction is forgotten after Submit took it.
	Drop int `mapstructure:"drop" json:"drop"`
	// DropPoolEvery so many blocks, everything that waits is forgotten before the block is made. 0: never.
	DropPoolEvery uint64 `mapstructure:"dropPoolEvery" json:"dropPoolEvery"`
	// ReorganiseEvery so many blocks, the newest blocks are replaced. 0: never. It needs finality "confirmations".
	ReorganiseEvery uint64 `mapstructure:"reorganiseEvery" json:"reorganiseEvery"`
	// ReorganiseDepth is how many blocks are replaced at most; how many it is each time is drawn. Keep it at or below the confirmations
	// that are required: what is deeper takes back what was final.
	ReorganiseDepth int `mapstructure:"reorganiseDepth" json:"reorganiseDepth"`
	// ReorganiseDrop is the chance that a transaction of a replaced block is forgotten. The others are in the new blocks.
	ReorganiseDrop int `mapstructure:"reorganiseDrop" json:"reorganiseDrop"`
}

// dice decides what goes wrong next.
type dice struct {
	mu     sync.Mutex
	faults Faults     // guarded by mu
	rnd    *rand.Rand // guarded by mu
}

func (d *dice) set(f Faults) {
	seed := f.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults, d.rnd = f, rand.New(rand.NewPCG(seed, 0))
}

// happens throws the dice for one of the chances.
func (d *dice) happens(chance func(*Faults) int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	percent := chance(&d.faults)
	return percent > 0 && d.rnd.IntN(100) < percent
}

// due reports whether block n is one before which, or after which, something happens.
func (d *dice) due(n uint64, every func(*Faults) uint64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := every(&d.faults)
	return m > 0 && n > 0 && n%m == 0
}

// depth draws how many of the blocks above the genesis block are replaced.
func (d *dice) depth(blocks uint64) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return min(1+uint64(d.rnd.IntN(max(d.faults.ReorganiseDepth, 1))), blocks)
}

func (f *Faults) loseAnswers() int        { return f.LoseAnswers }
func (f *Faults) duplicate() int          { return f.Duplicate }
func (f *Faults) drop() int               { return f.Drop }
func (f *Faults) reorganiseDrop() int     { return f.ReorganiseDrop }
func (f *Faults) dropPoolEvery() uint64   { return f.DropPoolEvery }
func (f *Faults) reorganiseEvery() uint64 { return f.ReorganiseEvery }
