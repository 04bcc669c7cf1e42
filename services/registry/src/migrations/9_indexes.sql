CREATE INDEX registry_moves_by_position ON registry_moves (position);
CREATE INDEX registry_merges_by_position ON registry_merges (position);
CREATE INDEX registry_tasks_by_position ON registry_tasks (position);
CREATE INDEX registry_campaigns_by_position ON registry_campaigns (position);
CREATE INDEX registry_figures_by_position ON registry_figures (position);
CREATE INDEX registry_categories_by_position ON registry_categories (position);
CREATE INDEX registry_divisions_in_type ON registry_divisions (type, name);
ALTER TABLE registry_agencies ADD COLUMN uscc TEXT;
CREATE INDEX registry_agencies_by_uscc ON registry_agencies (uscc, name);
ALTER TABLE registry_workers ADD COLUMN person TEXT;
ALTER TABLE registry_workers ADD COLUMN namesakes TEXT;
CREATE INDEX registry_workers_by_person ON registry_workers (person, name);
CREATE INDEX registry_workers_by_namesakes ON registry_workers (namesakes, name)
