// Package fabricledger reads the whole ledger of a Fabric channel, block by block, with Fabric's own client and nothing of Pyralis: what a
// test compares the work of Pyralis with. It can send again what it finds there.
package fabricledger
