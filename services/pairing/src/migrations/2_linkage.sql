ALTER TABLE pairing_offers ADD COLUMN closed_on TEXT;
CREATE INDEX pairing_offers_closing ON pairing_offers (closed_on);
ALTER TABLE pairing_needs ADD COLUMN closed_on TEXT;
CREATE INDEX pairing_needs_closing ON pairing_needs (closed_on);
ALTER TABLE pairing_arrivals ADD COLUMN left_on TEXT;
CREATE INDEX pairing_arrivals_leaving ON pairing_arrivals (left_on);
CREATE TABLE pairing_acceptances (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_acceptances_by_area ON pairing_acceptances (area, name);
CREATE INDEX pairing_acceptances_in_state ON pairing_acceptances (state, name);
CREATE INDEX pairing_acceptances_in_title ON pairing_acceptances (title, name)
