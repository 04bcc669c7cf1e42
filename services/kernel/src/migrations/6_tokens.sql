ALTER TABLE tokens ADD COLUMN expires_at BIGINT;
ALTER TABLE tokens ADD COLUMN used_at BIGINT;
ALTER TABLE tokens ADD COLUMN created_by TEXT;
ALTER TABLE tokens ADD COLUMN limited_to TEXT;
UPDATE tokens SET area = (SELECT node FROM head WHERE id = 1)
    WHERE area = '00' AND EXISTS (SELECT 1 FROM head WHERE id = 1);
UPDATE tokens SET revoked_at = created_at
    WHERE revoked_at IS NULL AND (SELECT node FROM head WHERE id = 1) <> '00'
    AND area NOT LIKE (SELECT node FROM head WHERE id = 1) || '%';
CREATE INDEX tokens_by_area ON tokens (area);
