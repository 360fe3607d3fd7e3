-- +goose Up

-- Events that could not be delivered. The id is made of what it names, so that an event that is set aside twice is there once.
CREATE TABLE dead_letters (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT    NOT NULL UNIQUE,
    stream        TEXT    NOT NULL,
    listener      TEXT    NOT NULL,
    listener_name TEXT    NOT NULL,
    replay        TEXT    NOT NULL,
    event         TEXT    NOT NULL,
    block         INTEGER NOT NULL,
    payload       BLOB NOT NULL,
    kind          TEXT    NOT NULL,
    error         TEXT    NOT NULL,
    attempts      INTEGER NOT NULL,
    first_failed  INTEGER NOT NULL,
    last_failed   INTEGER NOT NULL,
    asked         INTEGER NOT NULL
);
CREATE INDEX dead_letters_stream ON dead_letters (stream, seq);
-- Those that are to be replayed are few, or soon will be.
CREATE INDEX dead_letters_asked ON dead_letters (stream, seq) WHERE asked > 0;

-- +goose Down
DROP TABLE dead_letters;
