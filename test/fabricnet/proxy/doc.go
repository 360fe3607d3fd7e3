// Package proxy forwards TCP connections and breaks them on demand, for tests of what a client does when its network fails.
//
//	client ──▶ Proxy ──▶ target
//	           │
//	           ├ Heal     bytes pass (the state after Listen)
//	           ├ Delay    bytes pass, each one late by the same time, in both directions
//	           ├ Silence  connections stay and new ones are accepted, but no byte passes and no end of a connection either: a cable that was pulled
//	           └ Cut      connections are reset, and so is every new one
//
// Invariants: bytes keep their order and none is lost while a connection lives; what was held back by Silence is forwarded after Heal, as TCP itself
// would send it again. Close returns when every goroutine and connection is gone; no method blocks on the network.
//
// Failure handling: when the target refuses a connection, that of the client is reset. Nothing is tried twice.
package proxy
