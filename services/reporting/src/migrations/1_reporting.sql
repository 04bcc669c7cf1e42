CREATE TABLE reporting_members (
    name TEXT NOT NULL,
    root TEXT NOT NULL,
    PRIMARY KEY (name, root)
);
CREATE INDEX reporting_members_by_root ON reporting_members (root);
CREATE TABLE reporting_roots (
    root TEXT PRIMARY KEY,
    subject TEXT NOT NULL
);
CREATE INDEX reporting_roots_by_subject ON reporting_roots (subject);
CREATE TABLE reporting_subjects (
    subject TEXT PRIMARY KEY,
    facts TEXT NOT NULL
);
CREATE TABLE reporting_months (
    indicator TEXT NOT NULL,
    digits BIGINT NOT NULL,
    area TEXT NOT NULL,
    month TEXT NOT NULL,
    dims TEXT NOT NULL,
    value BIGINT NOT NULL,
    opening BIGINT NOT NULL,
    PRIMARY KEY (indicator, digits, area, month, dims)
);
CREATE TABLE reporting_days (
    indicator TEXT NOT NULL,
    digits BIGINT NOT NULL,
    area TEXT NOT NULL,
    day TEXT NOT NULL,
    dims TEXT NOT NULL,
    value BIGINT NOT NULL,
    opening BIGINT NOT NULL,
    PRIMARY KEY (indicator, digits, area, day, dims)
);
CREATE TABLE reporting_problems (
    record TEXT NOT NULL,
    indicator TEXT NOT NULL,
    subject TEXT NOT NULL,
    area TEXT NOT NULL,
    reason_zh TEXT NOT NULL,
    reason_en TEXT NOT NULL,
    PRIMARY KEY (record, indicator, subject)
);
CREATE INDEX reporting_problems_by_subject ON reporting_problems (subject);
CREATE TABLE reporting_divisions (
    name TEXT PRIMARY KEY,
    code TEXT NOT NULL,
    digits BIGINT NOT NULL,
    official BOOLEAN NOT NULL,
    valid_from TEXT NOT NULL,
    valid_to TEXT NOT NULL
);
CREATE INDEX reporting_divisions_by_code ON reporting_divisions (digits, code)
