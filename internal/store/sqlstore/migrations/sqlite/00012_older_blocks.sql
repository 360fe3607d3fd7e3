-- +goose Up

-- Blocks that were read before the newest one, by which the place is found where a chain forked.
ALTER TABLE checkpoints ADD COLUMN older TEXT;

-- +goose Down
ALTER TABLE checkpoints DROP COLUMN older;
