CREATE TABLE registry_tasks (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT, overdue_on TEXT
);
CREATE INDEX registry_tasks_in_area ON registry_tasks (COALESCE(area, ''), name);
CREATE INDEX registry_tasks_in_state ON registry_tasks (COALESCE(state, ''), name);
CREATE INDEX registry_tasks_in_title ON registry_tasks (COALESCE(title, ''), name);
CREATE TABLE registry_campaigns (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT, over_on TEXT
);
CREATE INDEX registry_campaigns_in_area ON registry_campaigns (COALESCE(area, ''), name);
CREATE INDEX registry_campaigns_in_state ON registry_campaigns (COALESCE(state, ''), name);
CREATE INDEX registry_campaigns_in_title ON registry_campaigns (COALESCE(title, ''), name);
CREATE TABLE registry_figures (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX registry_figures_in_area ON registry_figures (COALESCE(area, ''), name);
CREATE INDEX registry_figures_in_state ON registry_figures (COALESCE(state, ''), name);
CREATE INDEX registry_figures_in_title ON registry_figures (COALESCE(title, ''), name);
CREATE TABLE registry_categories (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT, valid_from TEXT, valid_to TEXT
);
CREATE INDEX registry_categories_in_area ON registry_categories (COALESCE(area, ''), name);
CREATE INDEX registry_categories_in_state ON registry_categories (COALESCE(state, ''), name);
CREATE INDEX registry_categories_in_title ON registry_categories (COALESCE(title, ''), name);
