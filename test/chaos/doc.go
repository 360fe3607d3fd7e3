// Package chaos breaks things on purpose and checks that nothing was lost and nothing happened twice. `make chaos` lists its parts.
//
// Its tests have the build tag chaos. CHAOS_KILLS is how often the node is killed (20), CHAOS_SEED the seed of everything that is drawn
// (logged): the same seed kills at the same instants and posts the same requests. CHAOS_EVENTS is how many events are delivered over all kills
// (100 for each). Those on a real Fabric network (test/fabricnet) have the build tag fabric too; they kill the network's parts instead of the node.
package chaos
