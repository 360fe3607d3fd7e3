// Package assets is the contract of the test networks: a register of assets with an owner and a JSON value.
//
//	function                  effect                                  event
//	create(id, value)         adds the asset; its owner is the caller AssetCreated     {id,value,owner}
//	update(id, value)         replaces the value                      AssetUpdated     {id,value,owner}
//	transfer(id, owner)       changes the owner                       AssetTransferred {id,from,to}
//	delete(id)                removes the asset                       AssetDeleted     {id}
//	fail(message)             always refused with the message
//	read(id), list()          no effect
//
// Invariants: an id is created once until it is deleted; each successful change sets exactly one event; a refused call changes nothing.
// The functions are deterministic in (state, caller, arguments), as endorsement by several peers demands: no clock, no random source, no map order.
// Failures: an unknown id, an existing id, a wrong number of arguments and an unknown function are errors with a text for the caller; nothing is retried.
package assets
