-- +goose Up

-- A label finds its transactions in the order of acceptance, from either end.
CREATE TABLE tx_labels (
    name  TEXT    NOT NULL,
    value TEXT    NOT NULL,
    tx    BIGINT NOT NULL,
    PRIMARY KEY (name, value, tx)
);

-- A status that few transactions have is found without walking over the others. What is pending has tx_open.
CREATE INDEX tx_status ON tx (status, seq) WHERE status <> 'Pending';

-- What became of the transaction, once its record is gone: who repeats the request gets that for an answer. A key can expire only then.
ALTER TABLE keys ADD COLUMN ended TEXT;
CREATE INDEX keys_ended ON keys (expires) WHERE ended IS NOT NULL;

-- +goose Down
DROP INDEX keys_ended;
ALTER TABLE keys DROP COLUMN ended;
DROP INDEX tx_status;
DROP TABLE tx_labels;
