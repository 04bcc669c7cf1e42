//! A write transaction: what is read and written in it is one commit, or nothing.

use sqlx::{Postgres, Sqlite, pool::PoolConnection};

use super::{
    Migration, POSTGRES, Row, SQLITE, Sql, Statement, Value, on_postgres, on_sqlite, postgres, sqlite,
    standing::Standing,
    statement::{is_void, joined},
    words,
};
use crate::{
    error::{Error, Result},
    telemetry::metrics,
};

/// A write transaction. Its connection goes back to the others only after a commit or a rollback that the database confirmed; in any
/// other case it is closed and replaced, for nobody knows what it is inside of.
#[derive(Debug)]
pub struct Tx {
    on: On,
    standing: Standing,
    /// Neither committed nor rolled back.
    open: bool,
    /// A statement failed, so nothing of it can be committed.
    failed: bool,
}

/// The connection of a transaction.
#[derive(Debug)]
pub(super) enum On {
    /// Begun IMMEDIATE.
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

impl On {
    /// Runs one of the words that begin and end transactions. sqlx keeps a count of its own of them, which is wrong for ever after
    /// one of them failed.
    async fn say(&mut self, word: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(on) => {
                metrics::statement(SQLITE, metrics::operation(word), sqlx::query(word).execute(&mut **on)).await?;
            }
            Self::Postgres(on) => {
                metrics::statement(POSTGRES, metrics::operation(word), sqlx::query(word).execute(&mut **on)).await?;
            }
        }
        Ok(())
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if self.open {
            match &mut self.on {
                On::Sqlite(on) => on.close_on_drop(),
                On::Postgres(on) => on.close_on_drop(),
            }
        }
    }
}

impl Tx {
    pub(super) async fn begin(on: On, standing: Standing) -> Result<Self> {
        let mut tx = Self { on, standing, open: true, failed: false };
        let word = if tx.is_shared() { "BEGIN" } else { "BEGIN IMMEDIATE" };
        let begun = tx.on.say(word).await;
        tx.known(begun)?;
        Ok(tx)
    }

    pub(super) fn on(&mut self) -> &mut On {
        &mut self.on
    }

    /// Passes on what a statement gave; its failure is kept.
    fn known<T>(&mut self, given: Result<T, sqlx::Error>) -> Result<T> {
        if let Err(cause) = &given {
            self.failed = true;
            self.standing.failed(cause);
        }
        Ok(given?)
    }

    /// As [`Db::migrate`], inside the transaction.
    pub(super) async fn migrate(&mut self, migrations: &[Migration]) -> Result<()> {
        let shared = self.is_shared();
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
            let sql = migration.sql.replace("BYTES", word).replace(words::MADE_HERE, words::tables(shared));
            for statement in sql.split(';') {
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
        if is_void(&binds) {
            return Ok(vec![]);
        }
        let read = match &mut self.on {
            On::Sqlite(on) => sqlite(&mut **on, sql, binds).await,
            On::Postgres(on) => postgres(&mut **on, sql, binds).await,
        };
        self.known(read)
    }

    /// Runs a statement; answers how many rows it touched.
    pub async fn execute(&mut self, sql: impl Into<Sql>, binds: Vec<Value>) -> Result<u64> {
        let sql = sql.into();
        if is_void(&binds) {
            return Ok(0);
        }
        let operation = metrics::operation(&sql);
        let touched = match &mut self.on {
            On::Sqlite(on) => {
                let query = on_sqlite(sql, binds).execute(&mut **on);
                metrics::statement(SQLITE, operation, query).await.map(|done| done.rows_affected())
            }
            On::Postgres(on) => {
                let query = on_postgres(sql, binds).execute(&mut **on);
                metrics::statement(POSTGRES, operation, query).await.map(|done| done.rows_affected())
            }
        };
        self.known(touched)
    }

    /// Runs a statement as data. `false`: it touched another number of rows than it had to.
    pub async fn run(&mut self, statement: &Statement) -> Result<bool> {
        let touched = match statement.clone().asked(self.is_shared())? {
            Some((sql, binds)) => self.execute(sql, binds).await?,
            None => 0,
        };
        Ok(statement.expect.is_none_or(|expected| expected == touched))
    }

    /// Runs statements of which none has to touch an exact number of rows, in order.
    pub async fn run_all(&mut self, statements: Vec<Statement>) -> Result<()> {
        let shared = self.is_shared();
        let asked = statements.into_iter().filter_map(|statement| statement.asked(shared).transpose());
        let mut asked = asked.collect::<Result<Vec<_>>>()?;
        if !shared && !asked.is_empty() {
            asked = vec![joined(asked)];
        }
        for (sql, binds) in asked {
            self.execute(sql, binds).await?;
        }
        Ok(())
    }

    fn is_shared(&self) -> bool {
        matches!(self.on, On::Postgres(_))
    }

    /// Makes it last.
    ///
    /// # Errors
    /// The database says that it does not, or does not say that it does; or one of the statements had failed.
    pub async fn commit(mut self) -> Result<()> {
        if self.failed {
            return Err(Error::broken("one of its statements had failed, so this transaction cannot be committed"));
        }
        let done = self.on.say("COMMIT").await;
        self.known(done)?;
        self.open = false;
        self.standing.committed();
        Ok(())
    }

    /// Undoes it: by the database's word, or by leaving the connection.
    pub async fn rollback(mut self) -> Result<()> {
        // SQLite has undone it already where the disk was full, and then refuses the word.
        self.open = self.on.say("ROLLBACK").await.is_err();
        Ok(())
    }
}
