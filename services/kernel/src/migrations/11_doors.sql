CREATE TABLE pending_acts (
    id TEXT PRIMARY KEY,
    act TEXT NOT NULL,
    digest TEXT NOT NULL,
    told_zh TEXT NOT NULL,
    told_en TEXT NOT NULL,
    area TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    state BIGINT NOT NULL,
    decided_by TEXT,
    decided_at BIGINT,
    reason TEXT,
    used_by TEXT
);
CREATE INDEX pending_acts_by_digest ON pending_acts (digest);
CREATE INDEX pending_acts_by_requester ON pending_acts (requested_by, state);
