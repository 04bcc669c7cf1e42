CREATE TABLE registry_proposals (
    name TEXT PRIMARY KEY,
    request TEXT NOT NULL UNIQUE,
    asked BYTES NOT NULL,
    from_area TEXT NOT NULL,
    to_area TEXT NOT NULL,
    state TEXT NOT NULL,
    disputed BOOLEAN NOT NULL,
    due_on TEXT NOT NULL,
    proposal BYTES NOT NULL
);
CREATE INDEX registry_proposals_from ON registry_proposals (from_area, state);
CREATE INDEX registry_proposals_to ON registry_proposals (to_area, state)
