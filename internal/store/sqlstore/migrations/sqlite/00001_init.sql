-- +goose Up

-- One row per lease. Writes carry the generation; every open of the store raises it.
CREATE TABLE lease (
    name       TEXT    NOT NULL PRIMARY KEY,
    generation INTEGER NOT NULL,
    owner      TEXT    NOT NULL,
    since      INTEGER NOT NULL
) WITHOUT ROWID;

-- Idempotency keys live apart from transactions: removing old transactions must not forget keys. A key is also the id of its
-- transaction, and outlives it, so it is what finds a transaction by id.
CREATE TABLE keys (
    key       TEXT    NOT NULL PRIMARY KEY,
    body_hash BLOB    NOT NULL,
    tx        INTEGER NOT NULL,
    expires   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE signers (
    ledger      TEXT    NOT NULL,
    signer      TEXT    NOT NULL,
    next_nonce  INTEGER NOT NULL,
    assigned_at INTEGER NOT NULL,
    PRIMARY KEY (ledger, signer)
) WITHOUT ROWID;

-- The lean row that everything scans; what is big or rarely read is in tx_body, attempts, attempt_payloads and history.
CREATE TABLE tx (
    seq          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    created      INTEGER NOT NULL,
    updated      INTEGER NOT NULL,
    status       TEXT    NOT NULL,
    sub          TEXT    NOT NULL,
    sub_since    INTEGER NOT NULL,
    shard        INTEGER NOT NULL,
    ledger       TEXT    NOT NULL,
    signer       TEXT    NOT NULL,
    recipient    TEXT    NOT NULL,
    nonce        INTEGER,
    value        TEXT    NOT NULL,
    gas          TEXT    NOT NULL,
    fee          TEXT,
    attempt      INTEGER NOT NULL,
    hash         TEXT    NOT NULL,
    first_submit INTEGER NOT NULL,
    last_submit  INTEGER NOT NULL,
    error        TEXT    NOT NULL,
    policy_state TEXT,
    due          INTEGER NOT NULL,
    outcome      TEXT,
    history_n    INTEGER NOT NULL,
    history_fold INTEGER NOT NULL
);
CREATE UNIQUE INDEX tx_nonce ON tx (ledger, signer, nonce) WHERE nonce IS NOT NULL;
CREATE INDEX tx_signer ON tx (signer, seq);
CREATE INDEX tx_open ON tx (seq) WHERE status IN ('Pending', 'Suspended');

-- Terminal is terminal, whatever asks.
-- +goose StatementBegin
CREATE TRIGGER tx_terminal BEFORE UPDATE ON tx WHEN OLD.status IN ('Succeeded', 'Failed')
BEGIN
    SELECT RAISE(ABORT, 'transaction is terminal');
END;
-- +goose StatementEnd

CREATE TABLE tx_body (
    tx      INTEGER PRIMARY KEY,
    request TEXT,
    history TEXT
);

CREATE TABLE attempts (
    tx            INTEGER NOT NULL,
    number        INTEGER NOT NULL,
    ledger        TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    claim         INTEGER NOT NULL,
    hash          TEXT    NOT NULL,
    signer        TEXT    NOT NULL,
    nonce         INTEGER,
    expires       INTEGER NOT NULL,
    exclusive     TEXT    NOT NULL,
    conflict_keys TEXT,
    sends         INTEGER NOT NULL,
    open          INTEGER NOT NULL,
    last_sent     INTEGER NOT NULL,
    error         TEXT    NOT NULL,
    dead          TEXT    NOT NULL,
    block         INTEGER,
    final         INTEGER NOT NULL,
    outcome       TEXT,
    PRIMARY KEY (tx, number)
) WITHOUT ROWID;
-- Only what is in flight can be matched; so these stay small, however many transactions there are.
CREATE INDEX attempts_hash ON attempts (ledger, hash) WHERE hash <> '' AND state = 'Submitting';
CREATE INDEX attempts_hashless ON attempts (ledger) WHERE hash = '' AND state = 'Submitting';
CREATE INDEX attempts_block ON attempts (ledger, block) WHERE block IS NOT NULL AND final = 0;

CREATE TABLE attempt_payloads (
    tx        INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    prepared  BLOB,
    result    TEXT,
    sensitive BLOB,
    PRIMARY KEY (tx, number)
);

CREATE TABLE history (
    tx     INTEGER NOT NULL,
    n      INTEGER NOT NULL,
    sub    TEXT    NOT NULL,
    action TEXT    NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    error  TEXT    NOT NULL,
    info   TEXT,
    PRIMARY KEY (tx, n)
) WITHOUT ROWID;

-- Positions in this log outlive its rows: AUTOINCREMENT never gives one out twice.
CREATE TABLE status_log (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    tx     INTEGER NOT NULL,
    id     TEXT    NOT NULL,
    status TEXT    NOT NULL,
    sub    TEXT    NOT NULL,
    time   INTEGER NOT NULL
);

CREATE TABLE ledger_position (
    ledger  TEXT    NOT NULL PRIMARY KEY,
    id      TEXT    NOT NULL,
    number  INTEGER NOT NULL,
    hash    TEXT    NOT NULL,
    updated INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE streams (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT    NOT NULL UNIQUE,
    name    TEXT    NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    epoch   INTEGER NOT NULL,
    spec    TEXT    NOT NULL
);

CREATE TABLE listeners (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT    NOT NULL UNIQUE,
    stream   TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    created  INTEGER NOT NULL,
    updated  INTEGER NOT NULL,
    spec     TEXT    NOT NULL,
    UNIQUE (stream, name)
);
CREATE INDEX listeners_stream ON listeners (stream, seq);

-- One row per listener, of the epoch that wrote it.
CREATE TABLE checkpoints (
    listener   TEXT    NOT NULL PRIMARY KEY,
    stream     TEXT    NOT NULL,
    epoch      INTEGER NOT NULL,
    block      INTEGER NOT NULL,
    tx         INTEGER NOT NULL,
    log        INTEGER NOT NULL,
    read_block INTEGER NOT NULL,
    read_hash  TEXT    NOT NULL,
    updated    INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX checkpoints_stream ON checkpoints (stream);

-- +goose Down
DROP TABLE checkpoints;
DROP TABLE listeners;
DROP TABLE streams;
DROP TABLE ledger_position;
DROP TABLE status_log;
DROP TABLE history;
DROP TABLE attempt_payloads;
DROP TABLE attempts;
DROP TABLE tx_body;
DROP TABLE tx;
DROP TABLE signers;
DROP TABLE keys;
DROP TABLE lease;
