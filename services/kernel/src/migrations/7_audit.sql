CREATE TABLE audit (
    log TEXT NOT NULL,
    number BIGINT NOT NULL,
    at_ms BIGINT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    area TEXT NOT NULL,
    address TEXT NOT NULL,
    act TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL,
    count BIGINT NOT NULL,
    digest BYTES NOT NULL,
    PRIMARY KEY (log, number)
);
CREATE INDEX audit_by_at ON audit (at_ms, log, number);
CREATE TABLE audit_head (
    log TEXT PRIMARY KEY,
    number BIGINT NOT NULL,
    digest BYTES NOT NULL,
    signature BYTES NOT NULL,
    purged BIGINT NOT NULL,
    purged_digest BYTES NOT NULL,
    purged_signature BYTES NOT NULL
);
