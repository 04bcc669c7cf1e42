ALTER TABLE exchange_outbound ADD COLUMN skipped BIGINT NOT NULL DEFAULT 0;
ALTER TABLE exchange_inbound ADD COLUMN skipped BIGINT NOT NULL DEFAULT 0;
ALTER TABLE exchange_agreements ADD COLUMN voided_at BIGINT;
CREATE TABLE exchange_void_halves (
    agreement TEXT NOT NULL,
    voided_at BIGINT NOT NULL,
    ours BYTES,
    theirs BYTES,
    PRIMARY KEY (agreement, voided_at)
);
CREATE TABLE exchange_former_cards (
    node TEXT NOT NULL,
    signing_key TEXT NOT NULL,
    card BYTES NOT NULL,
    known_until BIGINT NOT NULL,
    PRIMARY KEY (node, signing_key)
)
