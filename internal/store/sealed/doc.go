// Package sealed keeps what is secret of transactions encrypted in a store.
//
//	txn ──▶ sealed.Store ──▶ the store
//	          Accept, Update: request and payload ─▶ seal ─▶ Payload.Sensitive, one piece, wiped when the transaction ends
//	          Request, Payload ◀─ open ◀─ Payload.Sensitive
//
// A connector says of a transaction that it is secret (Fabric does of one with transient data). Then its request, payload and simulated result
// are never in the store but as ciphertext, in the one column that is wiped at the end; what stands in place of the request says
// which attempt has it. Everything else passes through.
//
// # Invariants
//
//   - Nothing of a secret request or payload reaches the store in the clear: what a crash, a backup or a page that was freed leaves behind is
//     ciphertext. What identifies a request is not secret: signer, contract, labels, and the hash of its body.
//   - A piece can be opened only for the attempt of the transaction that it was sealed for (AES-256-GCM, which also finds any change).
//   - The first key encrypts; every key that is known decrypts. A key is named in a piece by a digest of it, so that a missing one is
//     told from a damaged piece.
//   - The request is in the piece of the attempt that it came with. Whenever that is written again, the request is, too.
//   - A key that this package made is on disk before anything is encrypted with it.
//
// Failure: without a key, what is secret is refused when it comes, with ErrNoKey; nothing of it was stored. What cannot be opened is ErrSealed; it
// stays as it is, and can be opened once the key is back.
package sealed
