CREATE TABLE pairing_commitments (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_commitments_in_area ON pairing_commitments (COALESCE(area, ''), name);
CREATE INDEX pairing_commitments_in_state ON pairing_commitments (COALESCE(state, ''), name);
CREATE INDEX pairing_commitments_in_title ON pairing_commitments (COALESCE(title, ''), name);
CREATE TABLE pairing_approvals (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_approvals_in_area ON pairing_approvals (COALESCE(area, ''), name);
CREATE INDEX pairing_approvals_in_state ON pairing_approvals (COALESCE(state, ''), name);
CREATE INDEX pairing_approvals_in_title ON pairing_approvals (COALESCE(title, ''), name);
CREATE TABLE pairing_outcomes (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_outcomes_in_area ON pairing_outcomes (COALESCE(area, ''), name);
CREATE INDEX pairing_outcomes_in_state ON pairing_outcomes (COALESCE(state, ''), name);
CREATE INDEX pairing_outcomes_in_title ON pairing_outcomes (COALESCE(title, ''), name);
CREATE TABLE pairing_dispatches (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_dispatches_in_area ON pairing_dispatches (COALESCE(area, ''), name);
CREATE INDEX pairing_dispatches_in_state ON pairing_dispatches (COALESCE(state, ''), name);
CREATE INDEX pairing_dispatches_in_title ON pairing_dispatches (COALESCE(title, ''), name);
CREATE TABLE pairing_arrivals (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_arrivals_in_area ON pairing_arrivals (COALESCE(area, ''), name);
CREATE INDEX pairing_arrivals_in_state ON pairing_arrivals (COALESCE(state, ''), name);
CREATE INDEX pairing_arrivals_in_title ON pairing_arrivals (COALESCE(title, ''), name);
CREATE TABLE pairing_projects (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_projects_in_area ON pairing_projects (COALESCE(area, ''), name);
CREATE INDEX pairing_projects_in_state ON pairing_projects (COALESCE(state, ''), name);
CREATE INDEX pairing_projects_in_title ON pairing_projects (COALESCE(title, ''), name);
CREATE TABLE pairing_allocations (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_allocations_in_area ON pairing_allocations (COALESCE(area, ''), name);
CREATE INDEX pairing_allocations_in_state ON pairing_allocations (COALESCE(state, ''), name);
CREATE INDEX pairing_allocations_in_title ON pairing_allocations (COALESCE(title, ''), name);
CREATE TABLE pairing_payments (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_payments_in_area ON pairing_payments (COALESCE(area, ''), name);
CREATE INDEX pairing_payments_in_state ON pairing_payments (COALESCE(state, ''), name);
CREATE INDEX pairing_payments_in_title ON pairing_payments (COALESCE(title, ''), name);
CREATE TABLE pairing_receipts (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_receipts_in_area ON pairing_receipts (COALESCE(area, ''), name);
CREATE INDEX pairing_receipts_in_state ON pairing_receipts (COALESCE(state, ''), name);
CREATE INDEX pairing_receipts_in_title ON pairing_receipts (COALESCE(title, ''), name);
CREATE TABLE pairing_programmes (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_programmes_in_area ON pairing_programmes (COALESCE(area, ''), name);
CREATE INDEX pairing_programmes_in_state ON pairing_programmes (COALESCE(state, ''), name);
CREATE INDEX pairing_programmes_in_title ON pairing_programmes (COALESCE(title, ''), name);
CREATE TABLE pairing_activities (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_activities_in_area ON pairing_activities (COALESCE(area, ''), name);
CREATE INDEX pairing_activities_in_state ON pairing_activities (COALESCE(state, ''), name);
CREATE INDEX pairing_activities_in_title ON pairing_activities (COALESCE(title, ''), name);
CREATE TABLE pairing_offers (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_offers_in_area ON pairing_offers (COALESCE(area, ''), name);
CREATE INDEX pairing_offers_in_state ON pairing_offers (COALESCE(state, ''), name);
CREATE INDEX pairing_offers_in_title ON pairing_offers (COALESCE(title, ''), name);
CREATE TABLE pairing_needs (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_needs_in_area ON pairing_needs (COALESCE(area, ''), name);
CREATE INDEX pairing_needs_in_state ON pairing_needs (COALESCE(state, ''), name);
CREATE INDEX pairing_needs_in_title ON pairing_needs (COALESCE(title, ''), name);
CREATE TABLE pairing_orders (
    name TEXT PRIMARY KEY, position BIGINT NOT NULL, area TEXT, state TEXT, title TEXT, type TEXT, found TEXT
);
CREATE INDEX pairing_orders_in_area ON pairing_orders (COALESCE(area, ''), name);
CREATE INDEX pairing_orders_in_state ON pairing_orders (COALESCE(state, ''), name);
CREATE INDEX pairing_orders_in_title ON pairing_orders (COALESCE(title, ''), name);
CREATE INDEX pairing_programmes_by_title ON pairing_programmes (title, area);
