CREATE TABLE reporting_tags (
    name TEXT PRIMARY KEY,
    label TEXT NOT NULL,
    code TEXT NOT NULL,
    since TEXT NOT NULL,
    until TEXT NOT NULL
);
CREATE INDEX reporting_tags_by_label ON reporting_tags (label, code)
