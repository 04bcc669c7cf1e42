CREATE TABLE head (
    id BIGINT PRIMARY KEY,
    node TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    position BIGINT NOT NULL,
    digest BYTES NOT NULL,
    contract BIGINT NOT NULL
);
CREATE TABLE entries (
    position BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    home TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    ended BIGINT,
    ended_on TEXT,
    previous BIGINT,
    payload BYTES,
    sealed BYTES,
    digest BYTES NOT NULL,
    actor TEXT NOT NULL,
    written_at BIGINT NOT NULL
);
CREATE TABLE records (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    home TEXT NOT NULL,
    position BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    ended BOOLEAN NOT NULL
);
CREATE UNIQUE INDEX records_by_position ON records (position);
CREATE TABLE claims (
    claim TEXT PRIMARY KEY,
    name TEXT NOT NULL
);
CREATE INDEX claims_by_name ON claims (name);
CREATE TABLE links (
    target TEXT NOT NULL,
    source TEXT NOT NULL,
    field TEXT NOT NULL,
    PRIMARY KEY (target, source, field)
);
CREATE INDEX links_by_source ON links (source);
CREATE TABLE requests (
    id TEXT PRIMARY KEY,
    digest BYTES NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    answered_at BIGINT NOT NULL
);
CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    position BIGINT NOT NULL
);
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    role BIGINT NOT NULL,
    area TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);
