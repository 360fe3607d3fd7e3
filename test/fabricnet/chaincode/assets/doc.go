// Package assets is the contract of the test networks: a register of assets with an owner and a JSON value, and plain functions on keys.
//
//	function                  effect                                  event
//	create(id, value)         adds the asset; its owner is the caller AssetCreated     {id,value,owner}
//	update(id, value)         replaces the value                      AssetUpdated     {id,value,owner}
//	transfer(id, owner)       changes the owner                       AssetTransferred {id,from,to}
//	delete(id)                removes the asset                       AssetDeleted     {id}
//	fail(message)             always refused with the message
//	read(id), list()          no effect
//
//	put(key, value)           writes the bytes, whatever was there    none
//	del(key)                  removes the key, if it is there         none
//	putMany(changes)          all of [{"key","value"} or {"key","delete":true}, ...], in that order   none
//	putTransient(key, name)   writes the SHA-256, in hex, of the transient value of that name         none
//	putPrivate(collection, key, name)   writes the transient value of that name into a collection    none
//	readPrivate(collection, key)        no effect; returns what is there
//	incr(key)                 counts up from 0; returns the number    none
//	incrPrivate(collection, key)   likewise, in a collection of private data                          none
//	tally(key)                reads all keys, and writes how many of them there are, up to 1000       none
//	event(name, payload)      no effect                               name, with the payload as it is
//	sleep(milliseconds)       no effect, late                         none
//	garble()                  always refused, in words that fail the call itself: there is no response
//	panic()                   ends the chaincode's process
//	ping()                    no effect; reads nothing, so nothing can conflict with it
//
// To Fabric, writing an empty value is removing the key.
//
// Invariants: an id is created once until it is deleted; each successful change of an asset sets exactly one event; a refused call changes nothing.
// The functions are deterministic in (state, caller, arguments), as endorsement by several peers demands: no clock, no random source, no map order.
// Failures: an unknown id, an existing id, a wrong number of arguments and an unknown function are errors with a text for the caller; nothing is retried.
package assets
