//! One text for both databases. A list is one bind, written `IN ({n})` and always joined by AND; rows to insert are one
//! statement, however many they are: so few different texts are ever prepared.

use std::borrow::Cow;

use super::{Value, words};
use crate::error::{Error, Result};

/// A SQL text: written out, or put together from constants.
pub type Sql = Cow<'static, str>;

/// One statement as data: it can be carried in a command, repeated when a group is bisected, and prepared in a test.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(super) work: Work,
    /// How many rows it must touch; if another number, the command is refused ([`crate::ledger::Rejection::Guard`]).
    pub(super) expect: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Work {
    Run { sql: Sql, binds: Vec<Value> },
    Insert { into: Sql, suffix: Sql, rows: Vec<Vec<Value>> },
    Words { rows: Vec<Vec<Value>> },
}

impl Statement {
    /// A statement whose touched rows do not matter.
    #[must_use]
    pub fn new(sql: impl Into<Sql>, binds: Vec<Value>) -> Self {
        Self { work: Work::Run { sql: sql.into(), binds }, expect: None }
    }

    /// A statement that must touch exactly `rows` rows: a compare-and-set.
    #[must_use]
    pub fn expecting(sql: impl Into<Sql>, binds: Vec<Value>, rows: u64) -> Self {
        Self { work: Work::Run { sql: sql.into(), binds }, expect: Some(rows) }
    }

    /// Rows into `table (a, b, c)`; `suffix` is empty or an `ON CONFLICT …` clause.
    #[must_use]
    pub fn insert(into: impl Into<Sql>, suffix: impl Into<Sql>, rows: Vec<Vec<Value>>) -> Self {
        Self { work: Work::Insert { into: into.into(), suffix: suffix.into(), rows }, expect: None }
    }

    /// What the database is asked, and with what; `None`: there is nothing to do.
    pub(super) fn asked(self, shared: bool) -> Result<Option<(Sql, Vec<Value>)>> {
        Ok(match self.work {
            Work::Run { sql, binds } => Some((sql, binds)).filter(|(_, binds)| !is_void(binds)),
            Work::Insert { rows, .. } if rows.is_empty() => None,
            Work::Insert { into, suffix, rows } => Some(insert(&into, &suffix, rows, shared)?),
            Work::Words { rows } if rows.is_empty() => None,
            Work::Words { rows } => Some(words::insert(rows, shared)?),
        })
    }
}

/// Statements as one text with all their binds: SQLite runs them one after the other, and one hop to its thread is enough.
pub(super) fn joined(statements: Vec<(Sql, Vec<Value>)>) -> (Sql, Vec<Value>) {
    let mut text = String::new();
    let mut all = vec![];
    for (sql, binds) in statements {
        // A number stands behind `$` or `{`, which end the part before it.
        for part in sql.split_inclusive(['$', '{']) {
            let digits = part.bytes().take_while(u8::is_ascii_digit).count();
            match part[..digits].parse::<usize>() {
                Ok(n) => text.push_str(&format!("{}{}", n + all.len(), &part[digits..])),
                Err(_) => text.push_str(part),
            }
        }
        text.push_str("; ");
        all.extend(binds);
    }
    (text.into(), all)
}

/// Whether a list is empty: what has to be in it is not there, and the database need not be asked.
pub(super) fn is_void(binds: &[Value]) -> bool {
    binds.iter().any(|value| match value {
        Value::Texts(list) => list.is_empty(),
        Value::Ints(list) => list.is_empty(),
        _ => false,
    })
}

/// Writes each `IN ({n})` as the database has it: PostgreSQL takes an array, SQLite the same list as JSON.
pub(super) fn with_lists(sql: Sql, binds: &[Value], shared: bool) -> Sql {
    let lists = binds.iter().enumerate().filter(|(_, value)| matches!(value, Value::Texts(_) | Value::Ints(_)));
    lists.fold(sql, |sql, (i, _)| {
        let n = i + 1;
        let list = if shared { format!("= ANY(${n})") } else { format!("IN (SELECT value FROM json_each(${n}))") };
        sql.replace(&format!("IN ({{{n}}})"), &list).into()
    })
}

/// What inserts rows that are all of one form, and with what: one text a table, however many rows. PostgreSQL takes its columns
/// as arrays, SQLite its rows as JSON with bytes in hexadecimal digits.
fn insert(into: &str, suffix: &str, rows: Vec<Vec<Value>>, shared: bool) -> Result<(Sql, Vec<Value>)> {
    let form = rows.first().map(Vec::as_slice).unwrap_or_default().iter().enumerate();
    let cells = form.map(|(i, value)| match value {
        _ if shared => format!("${}", i + 1),
        Value::Bytes(_) => format!("unhex(value->>{i})"),
        _ => format!("value->>{i}"),
    });
    let cells = cells.collect::<Vec<_>>().join(", ");
    if shared {
        let sql = format!("INSERT INTO {into} SELECT * FROM UNNEST({cells}) {suffix}");
        return Ok((sql.into(), columns(rows)?));
    }
    // Without the WHERE, SQLite would read ON as a join's.
    let sql = format!("INSERT INTO {into} SELECT {cells} FROM json_each($1) WHERE TRUE {suffix}");
    Ok((sql.into(), crate::binds![json(&rows)?]))
}

pub(super) fn columns(rows: Vec<Vec<Value>>) -> Result<Vec<Value>> {
    let mut columns: Vec<Value> = vec![];
    let count = rows.len();
    for (row, values) in rows.into_iter().enumerate() {
        for (i, value) in values.into_iter().enumerate() {
            if row == 0 {
                columns.push(value.column(count));
            }
            columns.get_mut(i).ok_or_else(|| Error::broken("rows to insert are not of one width"))?.push(value)?;
        }
    }
    Ok(columns)
}

pub(super) fn json(rows: &[Vec<Value>]) -> Result<String> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let written = |done: serde_json::Result<()>| done.map_err(|e| Error::Broken(Box::new(e)));
    let mut text = Vec::with_capacity(rows.len() * 256);
    for (row, values) in rows.iter().enumerate() {
        text.extend_from_slice(if row == 0 { b"[[" } else { b"],[" });
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                text.push(b',');
            }
            match value {
                Value::Text(value) => written(serde_json::to_writer(&mut text, value))?,
                Value::Int(value) => written(serde_json::to_writer(&mut text, value))?,
                Value::Bool(value) => written(serde_json::to_writer(&mut text, value))?,
                Value::Bytes(Some(bytes)) => {
                    text.push(b'"');
                    text.extend(bytes.iter().flat_map(|b| [b >> 4, b & 15].map(|digit| DIGITS[usize::from(digit)])));
                    text.push(b'"');
                }
                Value::Bytes(None) => text.extend_from_slice(b"null"),
                _ => return Err(Error::broken("a list is no column")),
            }
        }
    }
    text.extend_from_slice(b"]]");
    String::from_utf8(text).map_err(|e| Error::Broken(Box::new(e)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binds;

    #[test]
    fn a_list_is_one_bind() {
        let sql = "a = $1 AND b IN ({2}) AND c = $3";
        let binds = binds!["x", &["y".to_owned(), "z".to_owned()][..], 1_i64];
        assert_eq!(with_lists(sql.into(), &binds, true), "a = $1 AND b = ANY($2) AND c = $3");
        let json = "a = $1 AND b IN (SELECT value FROM json_each($2)) AND c = $3";
        assert_eq!(with_lists(sql.into(), &binds, false), json);
    }

    #[test]
    fn statements_are_joined_with_their_binds() {
        let list = ["x".to_owned(), "y".to_owned()];
        let first = ("DELETE FROM t WHERE a IN ({1}) AND b = $2".into(), binds![&list[..], 1_i64]);
        let (sql, all) = joined(vec![("UPDATE h SET p = $1".into(), binds![2_i64]), first]);
        let sql = with_lists(sql, &all, false);
        let list_of = "IN (SELECT value FROM json_each($2))";
        assert_eq!(sql, format!("UPDATE h SET p = $1; DELETE FROM t WHERE a {list_of} AND b = $3; "));
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn rows_are_one_text_however_many() {
        let rows = || vec![binds!["x", 1_i64, vec![1_u8, 171], true], binds![None::<&str>, 2_i64, vec![0_u8], false]];
        let (sql, columns) = insert("t (a, b, c, d)", "", rows(), true).unwrap();
        assert_eq!(sql, "INSERT INTO t (a, b, c, d) SELECT * FROM UNNEST($1, $2, $3, $4) ");
        let texts = Value::Texts(vec![Some("x".into()), None]);
        let blobs = Value::Blobs(vec![Some(vec![1, 171]), Some(vec![0])]);
        assert_eq!(
            columns,
            [texts, Value::Ints(vec![Some(1), Some(2)]), blobs, Value::Bools(vec![Some(true), Some(false)])]
        );
        let (sql, rows) = insert("t (a, b, c, d)", "", rows(), false).unwrap();
        let cells = "value->>0, value->>1, unhex(value->>2), value->>3";
        assert_eq!(sql, format!("INSERT INTO t (a, b, c, d) SELECT {cells} FROM json_each($1) WHERE TRUE "));
        assert_eq!(rows, binds![r#"[["x",1,"01AB",true],[null,2,"00",false]]"#]);
    }
}
