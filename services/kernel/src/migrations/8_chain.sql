UPDATE head SET contract = 4 WHERE id = 1;
ALTER TABLE entries ADD COLUMN salt BYTES;
ALTER TABLE entries ADD COLUMN content BYTES;
ALTER TABLE head ADD COLUMN salted BIGINT;
ALTER TABLE head ADD COLUMN unsalted BYTES;
ALTER TABLE head ADD COLUMN unchained BIGINT;
UPDATE head SET salted = 0 WHERE position > 0;
CREATE TABLE salting (
    position BIGINT PRIMARY KEY,
    salt BYTES NOT NULL,
    digest BYTES NOT NULL
);
CREATE TABLE heads (
    position BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    body BYTES NOT NULL,
    signature BYTES NOT NULL
);
CREATE TABLE verified (
    part TEXT PRIMARY KEY,
    reached TEXT NOT NULL,
    at BIGINT NOT NULL,
    round BIGINT NOT NULL,
    fault_zh TEXT,
    fault_en TEXT
);
CREATE TABLE erasures (
    name TEXT PRIMARY KEY,
    erased_at BIGINT NOT NULL,
    erased_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    clause TEXT NOT NULL,
    position BIGINT NOT NULL
)
