// Command chaincode serves the assets contract as a Fabric "chaincode as a service" process: peers dial it, it needs no Docker.
//
//	peer ──gRPC──▶ shim ──▶ server.Invoke ──▶ assets.Invoke(state, caller, function, args)
//
// The contract itself is in the package assets and knows nothing of Fabric, so that its rules are tested without a network.
// The process listens on CHAINCODE_SERVER_ADDRESS, without TLS (loopback test networks only), and serves the package named by CHAINCODE_ID.
// It keeps no state: it can be killed and started again at any time; calls in between fail on the peer.
package main
