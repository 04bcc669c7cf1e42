CREATE TABLE registry_moves (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_moves_by_area ON registry_moves (area, name);
CREATE TABLE registry_merges (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_merges_by_area ON registry_merges (area, name);
