UPDATE head SET contract = 3 WHERE id = 1;
CREATE TABLE shared (
    kind TEXT NOT NULL,
    field TEXT NOT NULL,
    text TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (kind, field, text, name)
);
CREATE INDEX shared_by_name ON shared (name);
