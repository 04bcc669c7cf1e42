//! One SQL text for SQLite and PostgreSQL. `$1` placeholders; TEXT, BIGINT, BOOLEAN, DOUBLE PRECISION and the one
//! substituted word BYTES; instants are BIGINT milliseconds UTC, days ISO-8601 TEXT, money BIGINT 分.
//!
//! Never hides SQL, never decides anything: it carries texts and values to whichever database a node has, in blocks of
//! rows, for a hop per row would cost more than the row.

mod notices;
mod settings;
mod snapshot;

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Column, Connection, Database, Executor, Row as _, TypeInfo,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous},
};

pub use self::{settings::Setting, snapshot::Levels};
use crate::{
    error::{Error, Result},
    telemetry::metrics,
};

/// The databases' names in metrics, by OpenTelemetry's conventions.
const SQLITE: &str = "sqlite";
const POSTGRES: &str = "postgresql";

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

/// A SQL text: written out, or put together from constants.
pub type Sql = Cow<'static, str>;

/// One statement as data: it can be carried in a command, repeated when a group is bisected, and prepared in a test.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What to run.
    pub sql: Sql,
    /// With what.
    pub binds: Vec<Value>,
    /// How many rows it must touch; if another number, the command is refused ([`crate::ledger::Rejection::Guard`]).
    pub expect: Option<u64>,
}

impl Statement {
    /// A statement whose touched rows do not matter.
    #[must_use]
    pub fn new(sql: &'static str, binds: Vec<Value>) -> Self {
        Self { sql: sql.into(), binds, expect: None }
    }

    /// A statement that must touch exactly `rows` rows: a compare-and-set.
    #[must_use]
    pub fn expecting(sql: &'static str, binds: Vec<Value>, rows: u64) -> Self {
        Self { sql: sql.into(), binds, expect: Some(rows) }
    }
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

/// A node's database.
#[derive(Clone, Debug)]
pub enum Db {
    /// One writing connection and several reading ones on one file.
    Sqlite {
        /// The only connection that writes.
        write: SqlitePool,
        /// Connections that read.
        read: SqlitePool,
    },
    /// A pool on a server.
    Postgres(PgPool),
}

/// A write transaction.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite, begun IMMEDIATE.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    /// On PostgreSQL.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

/// A house's tables, in steps that are never changed once released.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Whose tables.
    pub house: &'static str,
    /// 1, 2, 3 …
    pub version: i64,
    /// Statements separated by `;`. BYTES stands for the database's word for bytes.
    pub sql: &'static str,
}

/// The file of a `sqlite:FILE` address; `None`: it is a server's.
#[must_use]
pub fn sqlite_file(url: &str, dir: &Path) -> Option<PathBuf> {
    url.strip_prefix("sqlite:").map(|file| dir.join(file))
}

impl Db {
    /// Opens `sqlite:FILE` (relative to `dir`) or `postgres://…` and makes sure that a commit is on the disk when it
    /// says so.
    pub async fn open(url: &str, dir: &Path, readers: u32, connections: u32) -> Result<Self> {
        if let Some(file) = sqlite_file(url, dir) {
            let options = SqliteConnectOptions::new()
                .filename(file)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(30))
                .statement_cache_capacity(256)
                .pragma("cache_size", "-65536")
                .pragma("temp_store", "memory");
            let pool = |most: u32| SqlitePoolOptions::new().max_connections(most).test_before_acquire(false);
            let write = pool(1).connect_with(options.clone()).await?;
            let read = pool(readers.max(1)).connect_with(options).await?;
            let db = Self::Sqlite { write, read };
            db.must_be("PRAGMA synchronous", |row| Ok(row.int(0)? == 2)).await?;
            Ok(db)
        } else {
            let options = PgConnectOptions::from_str(url)?
                .application_name("qianshou")
                .statement_cache_capacity(256)
                .options([("synchronous_commit", "on"), ("timezone", "UTC")]);
            let pool = PgPoolOptions::new().max_connections(connections.max(2)).test_before_acquire(false);
            let db = Self::Postgres(pool.connect_with(options).await?);
            db.must_be("SHOW synchronous_commit", |row| Ok(row.text(0)? != "off")).await?;
            db.must_be("SHOW fsync", |row| Ok(row.text(0)? == "on")).await?;
            Ok(db)
        }
    }

    async fn must_be(&self, sql: &'static str, holds: impl Fn(&Row) -> Result<bool>) -> Result<()> {
        let mut tx = self.begin().await?;
        let rows = tx.fetch(sql, vec![]).await?;
        match rows.first() {
            Some(row) if holds(row)? => tx.commit().await,
            _ => Err(Error::broken(format!("the database does not keep what it commits: {sql}"))),
        }
    }

    /// Whether this is PostgreSQL, where several processes may share the node.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Begins a write transaction; on SQLite it waits for the writer before it reads.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
            #[expect(clippy::disallowed_methods, reason = "the one door to write transactions")]
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Reads rows outside any transaction.
    pub async fn fetch(&self, sql: impl Into<Sql>, binds: Vec<Value>) -> Result<Vec<Row>> {
        let sql = sql.into();
        match self {
            Self::Sqlite { read, .. } => Ok(sqlite(read, sql, binds).await?),
            Self::Postgres(pool) => Ok(postgres(pool, sql, binds).await?),
        }
    }

    /// Reads at most one row.
    pub async fn fetch_one(&self, sql: impl Into<Sql>, binds: Vec<Value>) -> Result<Option<Row>> {
        Ok(self.fetch(sql, binds).await?.into_iter().next())
    }

    /// Runs statements in one transaction of their own. `false`: one of them did not touch the rows it had to, and
    /// nothing was done.
    pub async fn run(&self, statements: &[Statement]) -> Result<bool> {
        let mut tx = self.begin().await?;
        for statement in statements {
            if !tx.run(statement).await? {
                return Ok(false);
            }
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Brings every house's tables to this binary's level. Several processes may start at once; where nothing is missing,
    /// nothing is asked for that only the tables' owner may do.
    pub async fn migrate(&self, migrations: &[Migration]) -> Result<()> {
        if self.is_migrated(migrations).await {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        tx.migrate(migrations).await?;
        tx.commit().await
    }

    async fn is_migrated(&self, migrations: &[Migration]) -> bool {
        let Ok(rows) = self.fetch("SELECT house, version FROM migrations", vec![]).await else { return false };
        let done = |m: &Migration| {
            rows.iter().any(|r| r.text(0).is_ok_and(|h| h == m.house) && r.int(1).is_ok_and(|v| v == m.version))
        };
        migrations.iter().all(done)
    }

    /// Asks the database to prepare a statement without running it, and answers its columns' names and types.
    pub async fn prepare(&self, sql: &str) -> Result<Vec<(String, String)>> {
        match self {
            Self::Sqlite { read, .. } => {
                let mut connection = read.acquire().await?;
                let statement = (&mut *connection).prepare(AssertSqlSafe(sql.to_owned()).into_sql()).await?;
                Ok(columns_of::<sqlx::Sqlite>(sqlx::Statement::columns(&statement)))
            }
            Self::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                let statement = (&mut *connection).prepare(AssertSqlSafe(sql.to_owned()).into_sql()).await?;
                Ok(columns_of::<sqlx::Postgres>(sqlx::Statement::columns(&statement)))
            }
        }
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        match self {
            Self::Sqlite { read, .. } => Ok(read.acquire().await?.ping().await?),
            Self::Postgres(pool) => Ok(pool.acquire().await?.ping().await?),
        }
    }
}

trait IntoSql {
    fn into_sql(self) -> sqlx::SqlStr;
}

impl IntoSql for AssertSqlSafe<String> {
    fn into_sql(self) -> sqlx::SqlStr {
        sqlx::SqlSafeStr::into_sql_str(self)
    }
}

fn columns_of<DB: Database>(columns: &[DB::Column]) -> Vec<(String, String)> {
    columns.iter().map(|c| (c.name().to_owned(), c.type_info().name().to_owned())).collect()
}

macro_rules! bound {
    ($sql:expr, $binds:expr) => {{
        let mut query = sqlx::query(AssertSqlSafe($sql));
        for value in $binds {
            query = match value {
                Value::Text(v) => query.bind(v),
                Value::Int(v) => query.bind(v),
                Value::Bool(v) => query.bind(v),
                Value::Bytes(v) => query.bind(v),
            };
        }
        query
    }};
}

async fn sqlite<'e>(
    executor: impl Executor<'e, Database = sqlx::Sqlite>,
    sql: Sql,
    binds: Vec<Value>,
) -> Result<Vec<Row>, sqlx::Error> {
    let operation = metrics::operation(&sql);
    let rows = metrics::statement(SQLITE, operation, bound!(sql, binds).fetch_all(executor)).await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

async fn postgres<'e>(
    executor: impl Executor<'e, Database = sqlx::Postgres>,
    sql: Sql,
    binds: Vec<Value>,
) -> Result<Vec<Row>, sqlx::Error> {
    let operation = metrics::operation(&sql);
    let rows = metrics::statement(POSTGRES, operation, bound!(sql, binds).fetch_all(executor)).await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}

/// Blocks that a long list is cut into, so that few different statements are ever prepared.
const BLOCKS: [usize; 5] = [256, 64, 16, 4, 1];

impl Tx {
    /// As [`Db::migrate`], inside the transaction.
    async fn migrate(&mut self, migrations: &[Migration]) -> Result<()> {
        let shared = matches!(self, Self::Postgres(_));
        if shared {
            self.fetch("SELECT CAST(pg_advisory_xact_lock(727727) AS TEXT)", vec![]).await?;
        }
        self.execute(
            "CREATE TABLE IF NOT EXISTS migrations (house TEXT NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (house, version))",
            vec![],
        )
        .await?;
        for migration in migrations {
            let new = "INSERT INTO migrations (house, version) VALUES ($1, $2) ON CONFLICT (house, version) DO NOTHING";
            if self.execute(new, crate::binds![migration.house, migration.version]).await? == 0 {
                continue;
            }
            let word = if shared { "BYTEA" } else { "BLOB" };
            for statement in migration.sql.replace("BYTES", word).split(';') {
                if !statement.trim().is_empty() {
                    self.execute(statement.trim().to_owned(), vec![]).await?;
                }
            }
        }
        Ok(())
    }

    /// Reads rows inside the transaction.
    pub async fn fetch(&mut self, sql: impl Into<Sql>, binds: Vec<Value>) -> Result<Vec<Row>> {
        let sql = sql.into();
        Ok(match self {
            Self::Sqlite(tx) => sqlite(&mut **tx, sql, binds).await?,
            Self::Postgres(tx) => postgres(&mut **tx, sql, binds).await?,
        })
    }

    /// Runs a statement; answers how many rows it touched.
    pub async fn execute(&mut self, sql: impl Into<Sql>, binds: Vec<Value>) -> Result<u64> {
        let sql = sql.into();
        let operation = metrics::operation(&sql);
        Ok(match self {
            Self::Sqlite(tx) => {
                metrics::statement(SQLITE, operation, bound!(sql, binds).execute(&mut **tx)).await?.rows_affected()
            }
            Self::Postgres(tx) => {
                metrics::statement(POSTGRES, operation, bound!(sql, binds).execute(&mut **tx)).await?.rows_affected()
            }
        })
    }

    /// Runs a statement as data. `false`: it touched another number of rows than it had to.
    pub async fn run(&mut self, statement: &Statement) -> Result<bool> {
        let touched = self.execute(statement.sql.clone(), statement.binds.clone()).await?;
        Ok(statement.expect.is_none_or(|expected| expected == touched))
    }

    /// Inserts rows in blocks. `columns` is `a, b, c`; `suffix` is empty or an `ON CONFLICT …` clause.
    pub async fn insert(&mut self, table: &str, columns: &str, suffix: &str, rows: Vec<Vec<Value>>) -> Result<()> {
        let numbered = matches!(self, Self::Postgres(_));
        let mut rows = rows.into_iter();
        while let Some(first) = rows.as_slice().first() {
            let width = first.len();
            let left = rows.len();
            let block = BLOCKS.into_iter().find(|b| *b <= left && b * width <= 30_000).unwrap_or(1);
            let sql = format!("INSERT INTO {table} ({columns}) VALUES {} {suffix}", tuples(block, width, numbered));
            let values = rows.by_ref().take(block).flatten().collect();
            self.execute(sql, values).await?;
        }
        Ok(())
    }

    /// Reads `sql` with `{}` standing for the placeholders of an IN list; `head` is bound before it, the list in blocks.
    pub async fn fetch_in<T: Clone + Into<Value>>(
        &mut self,
        sql: &str,
        head: &[Value],
        list: &[T],
    ) -> Result<Vec<Row>> {
        let mut rows = vec![];
        for (text, binds) in in_blocks(sql, head, list) {
            rows.extend(self.fetch(text, binds).await?);
        }
        Ok(rows)
    }

    /// Runs `sql` with `{}` standing for the placeholders of an IN list.
    pub async fn execute_in<T: Clone + Into<Value>>(&mut self, sql: &str, head: &[Value], list: &[T]) -> Result<()> {
        for (text, binds) in in_blocks(sql, head, list) {
            self.execute(text, binds).await?;
        }
        Ok(())
    }

    /// Makes it last.
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => metrics::statement(SQLITE, "COMMIT", tx.commit()).await?,
            Self::Postgres(tx) => metrics::statement(POSTGRES, "COMMIT", tx.commit()).await?,
        }
        Ok(())
    }

    /// Undoes it.
    pub async fn rollback(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.rollback().await?,
            Self::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }
}

impl Db {
    /// Reads `sql` with `{}` standing for the placeholders of an IN list, outside any transaction.
    pub async fn fetch_in<T: Clone + Into<Value>>(&self, sql: &str, head: &[Value], list: &[T]) -> Result<Vec<Row>> {
        let mut rows = vec![];
        for (text, binds) in in_blocks(sql, head, list) {
            rows.extend(self.fetch(text, binds).await?);
        }
        Ok(rows)
    }
}

/// `($1, $2), ($3, $4)` for two rows of two. SQLite looks a numbered placeholder up in a list, so that a statement of
/// thousands costs their square; it gets `(?, ?), (?, ?)`.
fn tuples(rows: usize, width: usize, numbered: bool) -> String {
    let mut text = String::with_capacity(rows * width * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 1..=width {
            if column > 1 {
                text.push_str(", ");
            }
            if numbered {
                text.push('$');
                text.push_str(&(row * width + column).to_string());
            } else {
                text.push('?');
            }
        }
        text.push(')');
    }
    text
}

/// Cuts an IN list into blocks of few sizes; a short last block is filled up with its last element.
fn in_blocks<T: Clone + Into<Value>>(sql: &str, head: &[Value], list: &[T]) -> Vec<(String, Vec<Value>)> {
    list.chunks(BLOCKS[0])
        .map(|chunk| {
            let size = BLOCKS.into_iter().rev().find(|b| *b >= chunk.len()).unwrap_or(BLOCKS[0]);
            let places: Vec<String> = (1..=size).map(|i| format!("${}", head.len() + i)).collect();
            let mut binds = head.to_vec();
            binds.extend(chunk.iter().cloned().map(Into::into));
            let last = binds.last().cloned();
            binds.extend(std::iter::repeat_n(last, size - chunk.len()).flatten());
            (sql.replace("{}", &places.join(", ")), binds)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_cut_into_few_sizes() {
        let list: Vec<String> = (0..260).map(|i| i.to_string()).collect();
        let head = binds!["x"];
        let blocks = in_blocks("a = $1 AND b IN ({})", &head, &list);
        assert_eq!(blocks.iter().map(|(_, b)| b.len()).collect::<Vec<_>>(), [257, 5]);
        assert!(blocks[1].0.ends_with("b IN ($2, $3, $4, $5)"));
        assert_eq!(tuples(2, 2, true), "($1, $2), ($3, $4)");
        assert_eq!(tuples(1, 2, false), "(?, ?)");
    }
}
