-- +goose Up

-- What is known of the first attempt when its transaction is accepted is kept in the body; the attempt gets a row of its own with the
-- first update.
ALTER TABLE tx_body ADD COLUMN prepared BLOB;
ALTER TABLE tx_body ADD COLUMN result TEXT;
ALTER TABLE tx_body ADD COLUMN expires INTEGER;
ALTER TABLE tx_body ADD COLUMN exclusive TEXT;
ALTER TABLE tx_body ADD COLUMN conflict_keys TEXT;

-- Numbers are assigned by the writer, which keeps the last one of tx in sqlite_sequence when rows are removed instead of once for each row.
-- Those of status_log need no such care: its newest row is never deleted.
INSERT INTO sqlite_sequence (name, seq)
SELECT 'tx', (SELECT coalesce(max(seq), 0) FROM tx) WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'tx');
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'PRIMARY KEY AUTOINCREMENT', 'PRIMARY KEY') WHERE type = 'table' AND name IN ('tx', 'status_log');
PRAGMA writable_schema = RESET;

-- A trigger that looks at each row costs as much as an index. Updates that do not name the status ask for it themselves.
DROP TRIGGER tx_terminal;
-- +goose StatementBegin
CREATE TRIGGER tx_terminal BEFORE UPDATE OF status ON tx WHEN OLD.status IN ('Succeeded', 'Failed')
BEGIN
    SELECT RAISE(ABORT, 'transaction is terminal');
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER tx_terminal;
-- +goose StatementBegin
CREATE TRIGGER tx_terminal BEFORE UPDATE ON tx WHEN OLD.status IN ('Succeeded', 'Failed')
BEGIN
    SELECT RAISE(ABORT, 'transaction is terminal');
END;
-- +goose StatementEnd
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'INTEGER PRIMARY KEY', 'INTEGER PRIMARY KEY AUTOINCREMENT')
WHERE type = 'table' AND name IN ('tx', 'status_log');
PRAGMA writable_schema = RESET;
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
