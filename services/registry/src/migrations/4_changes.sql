CREATE TABLE registry_changes (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT,
    effective_on TEXT
);
CREATE INDEX registry_changes_by_area ON registry_changes (area, name);
CREATE INDEX registry_changes_by_position ON registry_changes (position);
