// Package node assembles Pyralis from its parts: it is the only place that knows them all.
//
//	store ◀── confirm ◀── connector ──▶ stream ──▶ sinks ──▶ receivers
//	  ▲         ▲ outcome rule             ▲
//	  └── txn ──┘                          │
//	       ▲──────────── api ──────────────┘
//
// Start goes from left to right: store, connector, confirm, txn, sinks, stream, api; Stop goes back. A part that fails to start
// undoes those before it. When the store's lock is lost, Failed is closed: sends and deliveries have stopped by themselves,
// and the process should end.
//
// Two nodes can run in one process, as long as they do not share a store.
//
//	n, err := node.New(ctx, node.Options{Config: cfg, Plugins: builtin.Plugins()})
//	err = n.Start(ctx)
//	...
//	err = n.Stop(ctx)
package node
