-- +goose Up
-- What an attempt offers is sent again with it, so it is kept with the attempt.
ALTER TABLE attempts ADD COLUMN fee TEXT;
UPDATE attempts SET fee = (SELECT fee FROM tx WHERE tx.seq = attempts.tx AND tx.attempt = attempts.number)
WHERE tx IN (SELECT seq FROM tx WHERE fee IS NOT NULL);

-- +goose Down
ALTER TABLE attempts DROP COLUMN fee;
