-- +goose Up

-- What many signers write at a time lies together: their counters go up side by side, while each signer has a place of its own in an index
-- that begins with it.
DROP INDEX tx_nonce;
CREATE UNIQUE INDEX tx_nonce ON tx (nonce, signer, ledger) WHERE nonce IS NOT NULL AND kind <> 'FillNonce';

-- The end of a hash finds it, and takes a quarter of the pages, of which every claim and every outcome writes one.
DROP INDEX attempts_hash;
CREATE INDEX attempts_hash ON attempts (substr(hash, -8)) WHERE hash <> '' AND state = 'Submitting';

-- +goose Down
DROP INDEX attempts_hash;
CREATE INDEX attempts_hash ON attempts (ledger, hash) WHERE hash <> '' AND state = 'Submitting';
DROP INDEX tx_nonce;
CREATE UNIQUE INDEX tx_nonce ON tx (ledger, signer, nonce) WHERE nonce IS NOT NULL AND kind <> 'FillNonce';
