-- +goose Up

-- What is known of the first attempt when its transaction is accepted is kept in the body; the attempt gets a row of its own with the
-- first update.
ALTER TABLE tx_body ADD COLUMN prepared BYTEA;
ALTER TABLE tx_body ADD COLUMN result TEXT;
ALTER TABLE tx_body ADD COLUMN expires BIGINT;
ALTER TABLE tx_body ADD COLUMN exclusive TEXT;
ALTER TABLE tx_body ADD COLUMN conflict_keys TEXT;

-- Room in each page for the next version of a row: one that stays in its page and changes nothing in an index touches no index.
ALTER TABLE tx SET (fillfactor = 60);
ALTER TABLE attempts SET (fillfactor = 60);
ALTER TABLE signers SET (fillfactor = 50);
ALTER TABLE checkpoints SET (fillfactor = 50);
ALTER TABLE ledger_position SET (fillfactor = 50);

-- Updates that do not name the status ask for it themselves.
DROP TRIGGER tx_terminal ON tx;
CREATE TRIGGER tx_terminal BEFORE UPDATE OF status ON tx FOR EACH ROW WHEN (OLD.status IN ('Succeeded', 'Failed'))
    EXECUTE FUNCTION tx_terminal();

-- +goose Down
DROP TRIGGER tx_terminal ON tx;
CREATE TRIGGER tx_terminal BEFORE UPDATE ON tx FOR EACH ROW WHEN (OLD.status IN ('Succeeded', 'Failed'))
    EXECUTE FUNCTION tx_terminal();
ALTER TABLE ledger_position RESET (fillfactor);
ALTER TABLE checkpoints RESET (fillfactor);
ALTER TABLE signers RESET (fillfactor);
ALTER TABLE attempts RESET (fillfactor);
ALTER TABLE tx RESET (fillfactor);
INSERT INTO attempts (tx, number, ledger, state, claim, hash, signer, nonce, expires, exclusive, conflict_keys, sends, open, last_sent,
    error, dead, final)
SELECT t.seq, 1, t.ledger, 'Prepared', 0, t.hash, t.signer, t.nonce, coalesce(b.expires, 0), coalesce(b.exclusive, ''), b.conflict_keys,
    0, 0, 0, '', '', 0
FROM tx t JOIN tx_body b ON b.tx = t.seq WHERE NOT EXISTS (SELECT 1 FROM attempts a WHERE a.tx = t.seq);
INSERT INTO attempt_payloads (tx, number, prepared, result)
SELECT tx, 1, prepared, result FROM tx_body WHERE prepared IS NOT NULL;
ALTER TABLE tx_body DROP COLUMN conflict_keys;
ALTER TABLE tx_body DROP COLUMN exclusive;
ALTER TABLE tx_body DROP COLUMN expires;
ALTER TABLE tx_body DROP COLUMN result;
ALTER TABLE tx_body DROP COLUMN prepared;
