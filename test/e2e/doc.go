// Package e2e drives the built binary as users do: as a child process, over REST and WebSocket, through kill -9.
//
// Its tests have the build tag e2e, those that need a real Hyperledger Fabric network also fabric; `make e2e` runs both. E2E_KILLS
// is how often the kill tests kill (20), E2E_SEED the seed of their randomness (logged).
//
// Some tests run a pyralis that was built with the tag faultpoint, which dies or stands still at a point that they name: see
// internal/faultpoint. What is on a Fabric ledger they read without Pyralis, see test/internal/fabricledger.
package e2e
