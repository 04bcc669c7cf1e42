CREATE TABLE registry_tasks (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT, overdue_on TEXT
);
CREATE INDEX registry_tasks_by_area ON registry_tasks (area, name);
CREATE INDEX registry_tasks_in_state ON registry_tasks (state, name);
CREATE INDEX registry_tasks_in_title ON registry_tasks (title, name);
CREATE TABLE registry_campaigns (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT, over_on TEXT
);
CREATE INDEX registry_campaigns_by_area ON registry_campaigns (area, name);
CREATE INDEX registry_campaigns_in_state ON registry_campaigns (state, name);
CREATE INDEX registry_campaigns_in_title ON registry_campaigns (title, name);
CREATE TABLE registry_figures (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX registry_figures_by_area ON registry_figures (area, name);
CREATE INDEX registry_figures_in_state ON registry_figures (state, name);
CREATE INDEX registry_figures_in_title ON registry_figures (title, name);
CREATE TABLE registry_categories (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT, valid_from TEXT, valid_to TEXT
);
CREATE INDEX registry_categories_by_area ON registry_categories (area, name);
CREATE INDEX registry_categories_in_state ON registry_categories (state, name);
CREATE INDEX registry_categories_in_title ON registry_categories (title, name);
