CREATE TABLE reporting_same (
    name TEXT PRIMARY KEY,
    root TEXT NOT NULL,
    survivor TEXT NOT NULL
);
CREATE INDEX reporting_same_by_root ON reporting_same (root);
CREATE INDEX reporting_same_by_survivor ON reporting_same (survivor);
CREATE TABLE reporting_catalogue (
    id BIGINT PRIMARY KEY,
    digest TEXT NOT NULL
)
