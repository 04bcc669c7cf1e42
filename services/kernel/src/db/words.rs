//! The one table that the two databases do not have in the same form: which words a record is found by. SQLite keeps them in an
//! FTS5 table without content, PostgreSQL as a `tsvector` with a GIN index; both take the words as they are given and know no
//! language. A word is letters and digits of whatever script.
//!
//! Both tables are called `words`, both rows are numbered by `rowid`, so that only what stands here has two texts.

use super::{Db, Sql, Statement, Value, statement};
use crate::{binds, error::Result};

/// In a migration: the statements that make the table.
pub(super) const MADE_HERE: &str = "WORDS_OF_THIS_DATABASE";

const SQLITE: &str = "CREATE VIRTUAL TABLE words USING \
     fts5(held, content = '', contentless_delete = 1, detail = 'none', tokenize = 'ascii')";
const POSTGRES: &str = "CREATE TABLE words (rowid BIGINT PRIMARY KEY, held TSVECTOR NOT NULL); \
                        CREATE INDEX words_held ON words USING gin (held)";

/// What makes the table.
pub(super) fn tables(shared: bool) -> &'static str {
    if shared { POSTGRES } else { SQLITE }
}

/// Adds rows, each a number with words between spaces.
pub(super) fn insert(rows: Vec<Vec<Value>>, shared: bool) -> Result<(Sql, Vec<Value>)> {
    if shared {
        let sql = "INSERT INTO words (rowid, held) SELECT n, CAST(h AS tsvector) FROM UNNEST(CAST($1 AS BIGINT[]), CAST($2 AS TEXT[])) \
                   AS given (n, h)";
        return Ok((sql.into(), statement::columns(rows)?));
    }
    let sql = "INSERT INTO words (rowid, held) SELECT value->>0, value->>1 FROM json_each($1)";
    Ok((sql.into(), binds![statement::json(&rows)?]))
}

/// What words a row has to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Words {
    /// This word.
    Whole(String),
    /// A word that begins so.
    Begun(String),
    /// All of these; never of none.
    All(Vec<Words>),
    /// One of these; never of none.
    Any(Vec<Words>),
}

impl Words {
    fn text(&self, shared: bool) -> String {
        let joined = |words: &[Self], by: &str| {
            format!("({})", words.iter().map(|word| word.text(shared)).collect::<Vec<_>>().join(by))
        };
        match self {
            Self::Whole(word) if shared => format!("'{word}'"),
            Self::Begun(word) if shared => format!("'{word}':*"),
            Self::Whole(word) => format!("\"{word}\""),
            Self::Begun(word) => format!("\"{word}\" *"),
            Self::All(words) => joined(words, if shared { " & " } else { " AND " }),
            Self::Any(words) => joined(words, if shared { " | " } else { " OR " }),
        }
    }
}

impl Statement {
    /// Adds rows to `words`: (number, words between spaces).
    #[must_use]
    pub fn words(rows: Vec<(u64, String)>) -> Self {
        let rows = rows.into_iter().map(|(number, words)| binds![number, words]).collect();
        Self { work: statement::Work::Words { rows }, expect: None }
    }
}

impl Db {
    /// The numbers of at most `limit` rows with these words, in no order.
    pub async fn with_words(&self, words: &Words, limit: u32) -> Result<Vec<u64>> {
        const SQLITE: &str = "SELECT rowid FROM words WHERE words MATCH $1 LIMIT $2";
        const POSTGRES: &str = "SELECT rowid FROM words WHERE held @@ CAST($1 AS tsquery) LIMIT $2";
        let sql = if self.is_shared() { POSTGRES } else { SQLITE };
        let rows = self.fetch(sql, binds![words.text(self.is_shared()), limit]).await?;
        rows.iter().map(|row| row.count(0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_is_asked_in_its_own_words() {
        let whole = |word: &str| Words::Whole(word.to_owned());
        let asked = Words::Any(vec![Words::All(vec![whole("社工"), whole("工站")]), Words::Begun("xing0q".to_owned())]);
        assert_eq!(asked.text(false), r#"(("社工" AND "工站") OR "xing0q" *)"#);
        assert_eq!(asked.text(true), "(('社工' & '工站') | 'xing0q':*)");
    }
}
