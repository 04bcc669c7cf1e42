CREATE TABLE registry_quotas (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT, since TEXT, until TEXT
);
CREATE INDEX registry_quotas_by_area ON registry_quotas (area, name);
CREATE INDEX registry_quotas_by_position ON registry_quotas (position);
CREATE INDEX registry_quotas_in_state ON registry_quotas (state, name);
CREATE INDEX registry_quotas_in_title ON registry_quotas (title, name);
CREATE INDEX registry_quotas_in_type ON registry_quotas (type, name)
