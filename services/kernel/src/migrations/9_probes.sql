CREATE TABLE probes (
    id BIGINT PRIMARY KEY,
    instance TEXT NOT NULL,
    beat BIGINT NOT NULL,
    ballast BYTES
);
