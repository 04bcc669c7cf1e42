//! What goes into a statement and what comes out of it.

use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};

use crate::error::{Error, Result};

/// A value to bind or to insert. NULL is typed, for PostgreSQL asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// TEXT
    Text(Option<String>),
    /// BIGINT
    Int(Option<i64>),
    /// BOOLEAN
    Bool(Option<bool>),
    /// BLOB or BYTEA
    Bytes(Option<Vec<u8>>),
    /// A list for `IN ({n})`
    Texts(Vec<Option<String>>),
    /// A list for `IN ({n})`
    Ints(Vec<Option<i64>>),
    /// A column of rows to insert on PostgreSQL
    Bools(Vec<Option<bool>>),
    /// A column of rows to insert on PostgreSQL
    Blobs(Vec<Option<Vec<u8>>>),
}

macro_rules! values {
    ($($from:ty => $variant:ident($convert:expr);)*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(($convert)(value))
            }
        }
    )*};
}
values! {
    &str => Text(|v: &str| Some(v.to_owned()));
    String => Text(Some);
    &String => Text(|v: &String| Some(v.clone()));
    Option<String> => Text(|v| v);
    Option<&str> => Text(|v: Option<&str>| v.map(str::to_owned));
    i64 => Int(Some);
    u64 => Int(|v| Some(as_i64(v)));
    u32 => Int(|v| Some(i64::from(v)));
    i32 => Int(|v| Some(i64::from(v)));
    Option<i64> => Int(|v| v);
    bool => Bool(Some);
    Vec<u8> => Bytes(Some);
    &[u8] => Bytes(|v: &[u8]| Some(v.to_vec()));
    bytes::Bytes => Bytes(|v: bytes::Bytes| Some(v.to_vec()));
    Option<Vec<u8>> => Bytes(|v| v);
    &[String] => Texts(|v: &[String]| v.iter().cloned().map(Some).collect());
    &Vec<String> => Texts(|v: &Vec<String>| v.iter().cloned().map(Some).collect());
    &[&str] => Texts(|v: &[&str]| v.iter().map(|text| Some((*text).to_owned())).collect());
    &Vec<u64> => Ints(|v: &Vec<u64>| v.iter().map(|number| Some(as_i64(*number))).collect());
    &[u64] => Ints(|v: &[u64]| v.iter().map(|number| Some(as_i64(*number))).collect());
}

impl Value {
    /// An empty column for values of this form.
    pub(super) fn column(&self, rows: usize) -> Self {
        match self {
            Self::Int(_) | Self::Ints(_) => Self::Ints(Vec::with_capacity(rows)),
            Self::Bool(_) | Self::Bools(_) => Self::Bools(Vec::with_capacity(rows)),
            Self::Bytes(_) | Self::Blobs(_) => Self::Blobs(Vec::with_capacity(rows)),
            Self::Text(_) | Self::Texts(_) => Self::Texts(Vec::with_capacity(rows)),
        }
    }

    /// One more value of a column.
    pub(super) fn push(&mut self, value: Self) -> Result<()> {
        match (self, value) {
            (Self::Texts(column), Self::Text(value)) => column.push(value),
            (Self::Ints(column), Self::Int(value)) => column.push(value),
            (Self::Bools(column), Self::Bool(value)) => column.push(value),
            (Self::Blobs(column), Self::Bytes(value)) => column.push(value),
            _ => return Err(Error::broken("rows to insert are not of one form")),
        }
        Ok(())
    }
}

/// Positions, revisions and page numbers fit BIGINT; beyond it nothing is stored.
#[must_use]
pub fn as_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Binds for one statement: `binds![name, position]`.
#[macro_export]
macro_rules! binds {
    ($($value:expr),* $(,)?) => { vec![$($crate::db::Value::from($value)),*] };
}

/// One answered row.
#[derive(Debug)]
pub enum Row {
    /// From SQLite
    Sqlite(SqliteRow),
    /// From PostgreSQL
    Postgres(PgRow),
}

macro_rules! getters {
    ($($(#[$doc:meta])* $name:ident -> $type:ty;)*) => {$(
        $(#[$doc])*
        pub fn $name(&self, column: usize) -> Result<$type> {
            Ok(match self {
                Self::Sqlite(row) => row.try_get(column)?,
                Self::Postgres(row) => row.try_get(column)?,
            })
        }
    )*};
}

impl Row {
    getters! {
        /// A TEXT column that may be NULL.
        maybe_text -> Option<String>;
        /// A BIGINT column that may be NULL.
        maybe_int -> Option<i64>;
        /// A bytes column that may be NULL.
        maybe_bytes -> Option<Vec<u8>>;
        /// A BOOLEAN column that may be NULL.
        maybe_bool -> Option<bool>;
    }

    /// A TEXT column.
    pub fn text(&self, column: usize) -> Result<String> {
        self.maybe_text(column)?.ok_or_else(|| null(column))
    }

    /// A BIGINT column.
    pub fn int(&self, column: usize) -> Result<i64> {
        self.maybe_int(column)?.ok_or_else(|| null(column))
    }

    /// A BIGINT column that counts.
    pub fn count(&self, column: usize) -> Result<u64> {
        u64::try_from(self.int(column)?).map_err(|e| Error::Broken(Box::new(e)))
    }

    /// A bytes column.
    pub fn bytes(&self, column: usize) -> Result<Vec<u8>> {
        self.maybe_bytes(column)?.ok_or_else(|| null(column))
    }

    /// A BOOLEAN column.
    pub fn bool(&self, column: usize) -> Result<bool> {
        self.maybe_bool(column)?.ok_or_else(|| null(column))
    }
}

fn null(column: usize) -> Error {
    Error::broken(format!("column {column} is NULL where it must not be"))
}
