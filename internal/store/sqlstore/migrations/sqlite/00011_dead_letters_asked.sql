-- +goose Up

-- With asked in it, the dead letters to be replayed are counted without reading any: their rows have the events.
DROP INDEX dead_letters_asked;
CREATE INDEX dead_letters_asked ON dead_letters (stream, seq, asked) WHERE asked > 0;

-- +goose Down
DROP INDEX dead_letters_asked;
CREATE INDEX dead_letters_asked ON dead_letters (stream, seq) WHERE asked > 0;
