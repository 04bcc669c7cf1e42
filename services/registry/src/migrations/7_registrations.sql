ALTER TABLE registry_certificates ADD COLUMN due_on TEXT;
ALTER TABLE registry_certificates ADD COLUMN lapses_on TEXT;
CREATE INDEX registry_certificates_due ON registry_certificates (due_on);
CREATE INDEX registry_certificates_lapsing ON registry_certificates (lapses_on)
