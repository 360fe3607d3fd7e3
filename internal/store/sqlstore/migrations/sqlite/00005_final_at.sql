-- +goose Up
-- Transactions may ask for a number of confirmations of their own. Their outcomes are final when the chain is as high as this.
ALTER TABLE attempts ADD COLUMN final_at INTEGER;
DROP INDEX attempts_block;
CREATE INDEX attempts_block ON attempts (ledger, block) WHERE block IS NOT NULL AND final = 0 AND final_at IS NULL;
CREATE INDEX attempts_final_at ON attempts (ledger, final_at) WHERE final_at IS NOT NULL AND final = 0;

-- +goose Down
DROP INDEX attempts_final_at;
DROP INDEX attempts_block;
CREATE INDEX attempts_block ON attempts (ledger, block) WHERE block IS NOT NULL AND final = 0;
ALTER TABLE attempts DROP COLUMN final_at;
