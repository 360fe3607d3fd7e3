-- +goose Up

-- In an index each signer has a place of its own, so that every acceptance writes another page. Here many are entered at a time, in the order
-- of the signers: what is behind upto has still to be.
CREATE TABLE tx_by_signer (
    signer TEXT    NOT NULL,
    seq    INTEGER NOT NULL,
    PRIMARY KEY (signer, seq)
) WITHOUT ROWID;
INSERT INTO tx_by_signer SELECT signer, seq FROM tx ORDER BY signer, seq;
CREATE TABLE signer_index (upto INTEGER NOT NULL);
INSERT INTO signer_index SELECT coalesce(max(seq), 0) FROM tx;
-- +goose StatementBegin
CREATE TRIGGER tx_by_signer_gone AFTER DELETE ON tx
BEGIN
    DELETE FROM tx_by_signer WHERE signer = OLD.signer AND seq = OLD.seq;
END;
-- +goose StatementEnd
DROP INDEX tx_signer;

-- +goose Down
CREATE INDEX tx_signer ON tx (signer, seq);
DROP TRIGGER tx_by_signer_gone;
DROP TABLE signer_index;
DROP TABLE tx_by_signer;
