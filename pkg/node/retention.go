package node

import "github.com/pyralis-io/pyralis/internal/txn"

// consumer reads the status log.
type consumer interface {
	// Consumed is the position up to which it needs the log's rows no more.
	Consumed() int64
}

// addRetention makes the part that removes what has been kept long enough, and that none of the consumers still needs.
func (n *Node) addRetention(first consumer, others ...consumer) error {
	r, err := txn.NewRetention(txn.RetentionOptions{
		Store: n.store, Fence: n.store.Fence, Keep: n.cfg.Transactions.Retention, Log: n.part("retention"),
		Consumed: func() int64 { return consumed(first, others...) },
	})
	if err != nil {
		return err
	}
	n.add("retention", r)
	return nil
}

// consumed is the position up to which none of the consumers needs the log's rows any more.
func consumed(first consumer, others ...consumer) int64 {
	low := first.Consumed()
	for _, c := range others {
		low = min(low, c.Consumed())
	}
	return low
}
