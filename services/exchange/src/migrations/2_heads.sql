CREATE TABLE exchange_heads (
    node TEXT NOT NULL,
    day TEXT NOT NULL,
    epoch BIGINT NOT NULL,
    position BIGINT NOT NULL,
    digest BYTES NOT NULL,
    head BYTES NOT NULL,
    PRIMARY KEY (node, day)
)
