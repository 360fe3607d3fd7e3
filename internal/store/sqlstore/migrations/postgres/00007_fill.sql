-- +goose Up
-- A transaction that fills a gap may have the nonce of one that has ended: the chain has forgotten that one. Of those that are open, one has it.
DROP INDEX tx_nonce;
CREATE UNIQUE INDEX tx_nonce ON tx (ledger, signer, nonce) WHERE nonce IS NOT NULL AND kind <> 'FillNonce';
CREATE UNIQUE INDEX tx_fill ON tx (ledger, signer, nonce) WHERE kind = 'FillNonce' AND status IN ('Pending', 'Suspended');

-- +goose Down
DROP INDEX tx_fill;
DROP INDEX tx_nonce;
CREATE UNIQUE INDEX tx_nonce ON tx (ledger, signer, nonce) WHERE nonce IS NOT NULL;
