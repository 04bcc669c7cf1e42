CREATE TABLE registry_posts (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_posts_by_area ON registry_posts (area, name);
CREATE INDEX registry_posts_by_title ON registry_posts (title, area);
CREATE TABLE registry_employments (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_employments_by_area ON registry_employments (area, name);
CREATE TABLE registry_systems (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT,
    since TEXT, until TEXT
);
CREATE INDEX registry_systems_by_area ON registry_systems (area, name);
CREATE TABLE registry_incubations (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_incubations_by_area ON registry_incubations (area, name);
CREATE TABLE registry_templates (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT,
    valid_from TEXT, valid_to TEXT
);
CREATE INDEX registry_templates_by_area ON registry_templates (area, name);
CREATE INDEX registry_templates_by_title ON registry_templates (title, area);
CREATE TABLE registry_assessments (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_assessments_by_area ON registry_assessments (area, name);
CREATE TABLE registry_recognitions (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_recognitions_by_area ON registry_recognitions (area, name);
CREATE TABLE registry_documents (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX registry_documents_by_area ON registry_documents (area, name);
CREATE TABLE registry_tags (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT,
    since TEXT, until TEXT
);
CREATE INDEX registry_tags_by_area ON registry_tags (area, name);
