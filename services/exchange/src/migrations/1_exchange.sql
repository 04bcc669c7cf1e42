CREATE TABLE exchange_peers (
    node TEXT PRIMARY KEY,
    card BYTES NOT NULL,
    added_at BIGINT NOT NULL
);
CREATE TABLE exchange_agreements (
    id TEXT PRIMARY KEY,
    provider TEXT NOT NULL,
    consumer TEXT NOT NULL,
    terms BYTES NOT NULL,
    digest TEXT NOT NULL,
    ours BYTES,
    theirs BYTES,
    added_at BIGINT NOT NULL
);
CREATE TABLE exchange_outbound (
    stream TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    next_number BIGINT NOT NULL,
    digest BYTES NOT NULL,
    position BIGINT NOT NULL,
    snapshot BIGINT,
    acked BIGINT NOT NULL,
    pages BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    applied BIGINT NOT NULL,
    quarantined BIGINT NOT NULL,
    state BIGINT NOT NULL,
    refusal BIGINT,
    refusal_receipt BYTES,
    moved_at BIGINT NOT NULL
);
CREATE TABLE exchange_pages (
    stream TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    number BIGINT NOT NULL,
    digest BYTES NOT NULL,
    entries BIGINT NOT NULL,
    position BIGINT NOT NULL,
    page BYTES NOT NULL,
    made_at BIGINT NOT NULL,
    receipt BYTES,
    PRIMARY KEY (stream, epoch, number)
);
CREATE TABLE exchange_held (
    stream TEXT NOT NULL,
    name TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    digest BYTES NOT NULL,
    PRIMARY KEY (stream, name)
);
CREATE TABLE exchange_inbound (
    stream TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL,
    number BIGINT NOT NULL,
    digest BYTES NOT NULL,
    first_epoch BIGINT NOT NULL,
    pages BIGINT NOT NULL,
    entries BIGINT NOT NULL,
    applied BIGINT NOT NULL,
    quarantined BIGINT NOT NULL,
    state BIGINT NOT NULL,
    refusal BIGINT,
    refusal_receipt BYTES,
    moved_at BIGINT NOT NULL,
    puller TEXT NOT NULL,
    leased_until BIGINT NOT NULL
);
CREATE TABLE exchange_received (
    stream TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    number BIGINT NOT NULL,
    digest BYTES NOT NULL,
    entries BIGINT NOT NULL,
    page BYTES NOT NULL,
    receipt BYTES NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (stream, epoch, number)
);
CREATE TABLE exchange_quarantine (
    stream TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    number BIGINT NOT NULL,
    place BIGINT NOT NULL,
    name TEXT NOT NULL,
    reason BIGINT NOT NULL,
    entry BYTES NOT NULL,
    set_aside_at BIGINT NOT NULL,
    PRIMARY KEY (stream, epoch, number, place)
);
CREATE TABLE exchange_recovery (
    stream TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    name TEXT NOT NULL,
    found_at BIGINT NOT NULL,
    PRIMARY KEY (stream, epoch, name)
);
