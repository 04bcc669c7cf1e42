CREATE TABLE joined (
    blind TEXT PRIMARY KEY,
    person TEXT NOT NULL
);
CREATE INDEX joined_by_person ON joined (person)
