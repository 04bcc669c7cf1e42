CREATE TABLE reporting_changes (
    name TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    effective_on TEXT NOT NULL,
    codes TEXT NOT NULL
);
CREATE INDEX reporting_changes_by_position ON reporting_changes (position)
