UPDATE head SET contract = 2 WHERE id = 1;
WORDS_OF_THIS_DATABASE;
CREATE TABLE indexed (
    kind TEXT PRIMARY KEY,
    level BIGINT NOT NULL
);
