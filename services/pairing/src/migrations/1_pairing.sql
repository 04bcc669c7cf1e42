CREATE TABLE pairing_commitments (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_commitments_by_area ON pairing_commitments (area, name);
CREATE TABLE pairing_approvals (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_approvals_by_area ON pairing_approvals (area, name);
CREATE TABLE pairing_outcomes (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_outcomes_by_area ON pairing_outcomes (area, name);
CREATE TABLE pairing_dispatches (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_dispatches_by_area ON pairing_dispatches (area, name);
CREATE TABLE pairing_arrivals (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_arrivals_by_area ON pairing_arrivals (area, name);
CREATE TABLE pairing_projects (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_projects_by_area ON pairing_projects (area, name);
CREATE TABLE pairing_allocations (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_allocations_by_area ON pairing_allocations (area, name);
CREATE TABLE pairing_payments (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_payments_by_area ON pairing_payments (area, name);
CREATE TABLE pairing_receipts (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_receipts_by_area ON pairing_receipts (area, name);
CREATE TABLE pairing_programmes (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_programmes_by_area ON pairing_programmes (area, name);
CREATE TABLE pairing_activities (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_activities_by_area ON pairing_activities (area, name);
CREATE TABLE pairing_offers (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_offers_by_area ON pairing_offers (area, name);
CREATE TABLE pairing_needs (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_needs_by_area ON pairing_needs (area, name);
CREATE TABLE pairing_orders (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT
);
CREATE INDEX pairing_orders_by_area ON pairing_orders (area, name);
CREATE INDEX pairing_programmes_by_title ON pairing_programmes (title, area);
