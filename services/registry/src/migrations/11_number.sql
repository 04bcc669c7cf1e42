ALTER TABLE registry_workers ADD COLUMN number TEXT;
CREATE INDEX registry_workers_by_number ON registry_workers (number, name)
