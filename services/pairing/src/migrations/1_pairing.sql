CREATE TABLE pairing_commitments (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_commitments_by_area ON pairing_commitments (area, name);
CREATE INDEX pairing_commitments_in_state ON pairing_commitments (state, name);
CREATE INDEX pairing_commitments_in_title ON pairing_commitments (title, name);
CREATE TABLE pairing_approvals (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_approvals_by_area ON pairing_approvals (area, name);
CREATE INDEX pairing_approvals_in_state ON pairing_approvals (state, name);
CREATE INDEX pairing_approvals_in_title ON pairing_approvals (title, name);
CREATE TABLE pairing_outcomes (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_outcomes_by_area ON pairing_outcomes (area, name);
CREATE INDEX pairing_outcomes_in_state ON pairing_outcomes (state, name);
CREATE INDEX pairing_outcomes_in_title ON pairing_outcomes (title, name);
CREATE TABLE pairing_dispatches (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_dispatches_by_area ON pairing_dispatches (area, name);
CREATE INDEX pairing_dispatches_in_state ON pairing_dispatches (state, name);
CREATE INDEX pairing_dispatches_in_title ON pairing_dispatches (title, name);
CREATE TABLE pairing_arrivals (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_arrivals_by_area ON pairing_arrivals (area, name);
CREATE INDEX pairing_arrivals_in_state ON pairing_arrivals (state, name);
CREATE INDEX pairing_arrivals_in_title ON pairing_arrivals (title, name);
CREATE TABLE pairing_projects (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_projects_by_area ON pairing_projects (area, name);
CREATE INDEX pairing_projects_in_state ON pairing_projects (state, name);
CREATE INDEX pairing_projects_in_title ON pairing_projects (title, name);
CREATE TABLE pairing_allocations (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_allocations_by_area ON pairing_allocations (area, name);
CREATE INDEX pairing_allocations_in_state ON pairing_allocations (state, name);
CREATE INDEX pairing_allocations_in_title ON pairing_allocations (title, name);
CREATE TABLE pairing_payments (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_payments_by_area ON pairing_payments (area, name);
CREATE INDEX pairing_payments_in_state ON pairing_payments (state, name);
CREATE INDEX pairing_payments_in_title ON pairing_payments (title, name);
CREATE TABLE pairing_receipts (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_receipts_by_area ON pairing_receipts (area, name);
CREATE INDEX pairing_receipts_in_state ON pairing_receipts (state, name);
CREATE INDEX pairing_receipts_in_title ON pairing_receipts (title, name);
CREATE TABLE pairing_programmes (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_programmes_by_area ON pairing_programmes (area, name);
CREATE INDEX pairing_programmes_in_state ON pairing_programmes (state, name);
CREATE INDEX pairing_programmes_in_title ON pairing_programmes (title, name);
CREATE TABLE pairing_activities (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_activities_by_area ON pairing_activities (area, name);
CREATE INDEX pairing_activities_in_state ON pairing_activities (state, name);
CREATE INDEX pairing_activities_in_title ON pairing_activities (title, name);
CREATE TABLE pairing_offers (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_offers_by_area ON pairing_offers (area, name);
CREATE INDEX pairing_offers_in_state ON pairing_offers (state, name);
CREATE INDEX pairing_offers_in_title ON pairing_offers (title, name);
CREATE TABLE pairing_needs (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_needs_by_area ON pairing_needs (area, name);
CREATE INDEX pairing_needs_in_state ON pairing_needs (state, name);
CREATE INDEX pairing_needs_in_title ON pairing_needs (title, name);
CREATE TABLE pairing_orders (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_orders_by_area ON pairing_orders (area, name);
CREATE INDEX pairing_orders_in_state ON pairing_orders (state, name);
CREATE INDEX pairing_orders_in_title ON pairing_orders (title, name);
CREATE INDEX pairing_programmes_by_title ON pairing_programmes (title, area);
