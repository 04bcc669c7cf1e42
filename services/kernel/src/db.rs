//! One SQL text for SQLite and PostgreSQL. `$1` placeholders; TEXT, BIGINT, BOOLEAN, DOUBLE PRECISION and the one
//! substituted word BYTES; instants are BIGINT milliseconds UTC, days ISO-8601 TEXT, money BIGINT 分.
//!
//! Never hides SQL, never decides anything: it carries texts and values to whichever database a node has, in blocks of
//! rows, for a hop per row would cost more than the row.

mod notices;
mod place;
mod settings;
mod snapshot;
mod standing;
mod statement;
mod tx;
mod value;
mod words;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Column, Connection, Database, Executor, TypeInfo,
    postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions},
    query::Query,
    sqlite::{
        SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
    },
};

pub use self::{
    place::Hold,
    settings::Setting,
    snapshot::Levels,
    standing::Away,
    statement::{Sql, Statement},
    tx::Tx,
    value::{Row, Value, as_i64},
    words::Words,
};
use self::{standing::Standing, tx::On};
use crate::{
    error::{Error, Result},
    files::private_file,
    telemetry::metrics,
};

/// The databases' names in metrics, by OpenTelemetry's conventions.
const SQLITE: &str = "sqlite";
const POSTGRES: &str = "postgresql";

/// How long a call may wait for one of the connections to a server.
const POSTGRES_PATIENCE: Duration = Duration::from_secs(10);

/// A node's database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    pools: Pools,
    standing: Standing,
}

#[derive(Clone, Debug)]
enum Pools {
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

/// A house's tables, in steps that are never changed once released.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// Whose tables.
    pub house: &'static str,
    /// 1, 2, 3 …
    pub version: i64,
    /// Statements separated by `;`. BYTES stands for the database's word for bytes, and WORDS_OF_THIS_DATABASE for the table of
    /// words.
    pub sql: &'static str,
}

/// The file of a `sqlite:FILE` address; `None`: it is a server's.
#[must_use]
pub fn sqlite_file(url: &str, dir: &Path) -> Option<PathBuf> {
    url.strip_prefix("sqlite:").map(|file| dir.join(file))
}

impl Db {
    /// As [`Db::open`]; a file that is not there is made.
    pub async fn create(url: &str, dir: &Path, readers: u32, connections: u32) -> Result<Self> {
        if let Some(file) = sqlite_file(url, dir).filter(|file| !file.exists()) {
            private_file(&file, &[])?;
        }
        Self::open(url, dir, readers, connections).await
    }

    /// Opens `sqlite:FILE` (relative to `dir`) or `postgres://…` and makes sure that a commit is on the disk when it
    /// says so.
    ///
    /// # Errors
    /// A refusal if the file is not there: an empty database in place of a lost one would be served as if it were right.
    pub async fn open(url: &str, dir: &Path, readers: u32, connections: u32) -> Result<Self> {
        if let Some(file) = sqlite_file(url, dir) {
            let standing = Standing::new(Some(&file))?;
            let options = SqliteConnectOptions::new()
                .filename(&file)
                .create_if_missing(false)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(30))
                .statement_cache_capacity(256)
                .pragma("wal_autocheckpoint", "8000")
                // What is deleted is overwritten: nothing of it stays in free pages.
                .pragma("secure_delete", "on")
                .pragma("temp_store", "memory");
            // The writer's pages are the hot ones; what readers miss, the operating system has.
            let pool = |most: u32, cache: &'static str| {
                let pool = SqlitePoolOptions::new().max_connections(most).test_before_acquire(false);
                pool.connect_with(options.clone().pragma("cache_size", cache))
            };
            let write = pool(1, "-65536").await?;
            let read = pool(readers.max(1), "-8192").await?;
            let db = Self { pools: Pools::Sqlite { write, read }, standing };
            db.must_be("PRAGMA synchronous", |row| Ok(row.int(0)? == 2)).await?;
            Ok(db)
        } else {
            let options = PgConnectOptions::from_str(url)?
                .application_name("qianshou")
                .statement_cache_capacity(256)
                .options([("synchronous_commit", "on"), ("timezone", "UTC")])
                // Every statement here has its index. A plan that is kept from when a table was empty, or whose statistics lag
                // behind a load, would read all of it.
                .options([("enable_seqscan", "off"), ("jit", "off")]);
            let pool = PgPoolOptions::new().max_connections(connections.max(2)).test_before_acquire(false);
            let pool = pool.acquire_timeout(POSTGRES_PATIENCE).connect_with(options).await?;
            let db = Self { pools: Pools::Postgres(pool), standing: Standing::new(None)? };
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
        matches!(self.pools, Pools::Postgres(_))
    }

    /// Begins a write transaction; on SQLite it waits for the writer before it reads.
    ///
    /// # Errors
    /// [`Away`], or what the database says.
    pub async fn begin(&self) -> Result<Tx> {
        self.standing.must_be_here(self.is_shared())?;
        self.begin_now().await
    }

    async fn begin_now(&self) -> Result<Tx> {
        let acquired = match &self.pools {
            Pools::Sqlite { write, .. } => write.acquire().await.map(On::Sqlite),
            Pools::Postgres(pool) => pool.acquire().await.map(On::Postgres),
        };
        let on = acquired.inspect_err(|cause| self.standing.failed(cause))?;
        Tx::begin(on, self.standing.clone()).await
    }

    /// Reads rows outside any transaction.
    pub async fn fetch(&self, sql: impl Into<Sql>, binds: Vec<Value>) -> Result<Vec<Row>> {
        let sql = sql.into();
        if statement::is_void(&binds) {
            return Ok(vec![]);
        }
        self.standing.must_be_here(self.is_shared())?;
        let read = match &self.pools {
            Pools::Sqlite { read, .. } => sqlite(read, sql, binds).await,
            Pools::Postgres(pool) => postgres(pool, sql, binds).await,
        };
        Ok(read.inspect_err(|cause| self.standing.doubt(cause))?)
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
                tx.rollback().await?;
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
        match &self.pools {
            Pools::Sqlite { read, .. } => {
                let mut connection = read.acquire().await?;
                let statement = (&mut *connection).prepare(AssertSqlSafe(sql.to_owned()).into_sql()).await?;
                Ok(columns_of::<sqlx::Sqlite>(sqlx::Statement::columns(&statement)))
            }
            Pools::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                let statement = (&mut *connection).prepare(AssertSqlSafe(sql.to_owned()).into_sql()).await?;
                Ok(columns_of::<sqlx::Postgres>(sqlx::Statement::columns(&statement)))
            }
        }
    }

    /// Makes what was deleted go from a file for good: the index of words is merged, for what is deleted from it stays until then, and
    /// the log beside the file is emptied. `false`: a long read holds the log. A server does so in its own time.
    pub async fn scrub(&self) -> Result<bool> {
        let Pools::Sqlite { write, .. } = &self.pools else { return Ok(true) };
        let mut tx = self.begin().await?;
        tx.execute("INSERT INTO words (words) VALUES ('optimize')", vec![]).await?;
        tx.commit().await?;
        let mut on = write.acquire().await?;
        // Whoever writes waits for this, so it does not wait long.
        sqlite(&mut *on, "PRAGMA busy_timeout = 500".into(), vec![]).await?;
        let emptied = sqlite(&mut *on, "PRAGMA wal_checkpoint(TRUNCATE)".into(), vec![]).await;
        sqlite(&mut *on, "PRAGMA busy_timeout = 30000".into(), vec![]).await?;
        Ok(emptied?.first().map_or(Ok(1), |row| row.int(0))? == 0)
    }

    /// Closes every connection.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { write, read } => {
                read.close().await;
                write.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        match &self.pools {
            Pools::Sqlite { read, .. } => Ok(read.acquire().await?.ping().await?),
            Pools::Postgres(pool) => Ok(pool.acquire().await?.ping().await?),
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
    ($sql:expr, $binds:expr, $shared:literal, $($list:pat => $bind:expr),*) => {{
        let (sql, binds) = ($sql, $binds);
        let sql = statement::with_lists(sql, &binds, $shared);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in binds {
            query = match value {
                Value::Text(v) => query.bind(v),
                Value::Int(v) => query.bind(v),
                Value::Bool(v) => query.bind(v),
                Value::Bytes(v) => query.bind(v),
                $($list => query.bind($bind),)*
            };
        }
        query
    }};
}

fn on_sqlite(sql: Sql, binds: Vec<Value>) -> Query<'static, sqlx::Sqlite, SqliteArguments> {
    bound!(sql, binds, false,
        Value::Texts(list) => json(&list),
        Value::Ints(list) => json(&list),
        Value::Bools(list) => json(&list),
        // Rows to insert are JSON already, and no list is one of bytes.
        Value::Blobs(_) => None::<String>)
}

/// A list as SQLite takes it.
fn json<T: serde::Serialize>(list: &[T]) -> Option<String> {
    serde_json::to_string(list).ok()
}

fn on_postgres(sql: Sql, binds: Vec<Value>) -> Query<'static, sqlx::Postgres, PgArguments> {
    bound!(sql, binds, true,
        Value::Texts(list) => list,
        Value::Ints(list) => list,
        Value::Bools(list) => list,
        Value::Blobs(list) => list)
}

async fn sqlite<'e>(
    executor: impl Executor<'e, Database = sqlx::Sqlite>,
    sql: Sql,
    binds: Vec<Value>,
) -> Result<Vec<Row>, sqlx::Error> {
    let operation = metrics::operation(&sql);
    let rows = metrics::statement(SQLITE, operation, on_sqlite(sql, binds).fetch_all(executor)).await?;
    Ok(rows.into_iter().map(Row::Sqlite).collect())
}

async fn postgres<'e>(
    executor: impl Executor<'e, Database = sqlx::Postgres>,
    sql: Sql,
    binds: Vec<Value>,
) -> Result<Vec<Row>, sqlx::Error> {
    let operation = metrics::operation(&sql);
    let rows = metrics::statement(POSTGRES, operation, on_postgres(sql, binds).fetch_all(executor)).await?;
    Ok(rows.into_iter().map(Row::Postgres).collect())
}
