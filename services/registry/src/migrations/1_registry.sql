CREATE TABLE registry_divisions (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT,
    valid_from TEXT, valid_to TEXT
);
CREATE INDEX registry_divisions_by_area ON registry_divisions (area, name);
CREATE TABLE registry_agencies (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_agencies_by_area ON registry_agencies (area, name);
CREATE TABLE registry_stations (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_stations_by_area ON registry_stations (area, name);
CREATE TABLE registry_workers (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_workers_by_area ON registry_workers (area, name);
CREATE TABLE registry_certificates (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_certificates_by_area ON registry_certificates (area, name);
