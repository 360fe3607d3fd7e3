-- +goose Up
-- When an attempt has to be sent that must not wait for long; 0: at any time.
ALTER TABLE attempts ADD COLUMN send_before BIGINT NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE attempts DROP COLUMN send_before;
