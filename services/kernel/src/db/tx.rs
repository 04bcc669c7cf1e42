//! A write transaction: what is read and written in it is one commit, or nothing.

use super::{
    Migration, POSTGRES, Row, SQLITE, Sql, Statement, Value, on_postgres, on_sqlite, postgres, sqlite,
    statement::{is_void, joined},
    words,
};
use crate::{error::Result, telemetry::metrics};

/// A write transaction.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite, begun IMMEDIATE.
    Sqlite(sqlx::Transaction<'static, sqlx::Sqlite>),
    /// On PostgreSQL.
    Postgres(sqlx::Transaction<'static, sqlx::Postgres>),
}

impl Tx {
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
        Ok(match self {
            Self::Sqlite(tx) => sqlite(&mut **tx, sql, binds).await?,
            Self::Postgres(tx) => postgres(&mut **tx, sql, binds).await?,
        })
    }

    /// Runs a statement; answers how many rows it touched.
    pub async fn execute(&mut self, sql: impl Into<Sql>, binds: Vec<Value>) -> Result<u64> {
        let sql = sql.into();
        if is_void(&binds) {
            return Ok(0);
        }
        let operation = metrics::operation(&sql);
        Ok(match self {
            Self::Sqlite(tx) => {
                let query = on_sqlite(sql, binds);
                metrics::statement(SQLITE, operation, query.execute(&mut **tx)).await?.rows_affected()
            }
            Self::Postgres(tx) => {
                let query = on_postgres(sql, binds);
                metrics::statement(POSTGRES, operation, query.execute(&mut **tx)).await?.rows_affected()
            }
        })
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
        matches!(self, Self::Postgres(_))
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
