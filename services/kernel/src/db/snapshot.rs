//! A database as files: one state of it, taken while others write, and the same state put into an empty database.
//!
//! Never needs another program, never holds a table in memory. SQLite: one file. PostgreSQL: one binary COPY a table, all
//! read in one transaction that sees one state.

use std::{collections::BTreeMap, path::Path};

use futures::TryStreamExt as _;
use sqlx::{
    Connection as _, SqliteConnection,
    postgres::{PgConnection, PgPool},
    sqlite::{SqliteConnectOptions, SqlitePool},
};
use tokio::{
    fs::{File, OpenOptions},
    io::AsyncWriteExt as _,
};

use super::{Db, Migration, Pools, Row, Tx, postgres, sqlite, tx::On};
use crate::{
    error::{Error, Reason, Result},
    files::private_file,
};

/// What the copy of a SQLite database is called.
const FILE: &str = "qianshou.db";
/// What the copy of a PostgreSQL table ends with.
const TABLE: &str = "copy";

const LEVELS: &str = "SELECT house, MAX(version) FROM migrations GROUP BY house";
const TABLES: &str = "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1";
/// What rebuilding the tables writes by itself.
const REBUILT: &str = "migrations";

/// The newest step of each house's tables.
pub type Levels = BTreeMap<String, i64>;

impl Db {
    /// What kind of database a URL names: a snapshot of one kind goes into no other.
    #[must_use]
    pub fn kind_of(url: &str) -> &'static str {
        if url.starts_with("sqlite:") { "sqlite" } else { "postgres" }
    }

    /// Copies one state of the database into the empty folder `folder`, while others write. Answers the levels of its tables
    /// and the rows of `also`, both of that state.
    pub async fn snapshot(&self, folder: &Path, also: &'static str) -> Result<(Levels, Vec<Row>)> {
        match &self.pools {
            Pools::Sqlite { read, .. } => snapshot_sqlite(read, &folder.join(FILE), also).await,
            Pools::Postgres(pool) => snapshot_postgres(pool, folder, also).await,
        }
    }

    /// Opens the database at `url` (a file is relative to `dir`) with the state that `folder` holds. It must be empty; what
    /// fails leaves it so, and a file that was begun is of no use to anyone.
    ///
    /// # Errors
    /// The database is not empty, or the state cannot be read.
    pub async fn from_snapshot(
        url: &str,
        dir: &Path,
        folder: &Path,
        levels: &Levels,
        migrations: &[Migration],
    ) -> Result<Self> {
        if let Some(file) = url.strip_prefix("sqlite:") {
            copy_file(&folder.join(FILE), &dir.join(file)).await?;
            return Self::open(url, dir, 1, 1).await;
        }
        let db = Self::open(url, dir, 1, 2).await?;
        let mut tx = db.begin().await?;
        if !tx.fetch(TABLES, vec![]).await?.is_empty() {
            let (zh, en) =
                ("该数据库不是空库，请新建一个空库", "this database is not empty; make an empty one for the node");
            return Err(Error::told("--database", Reason::Duplicate, zh, en));
        }
        let had: Vec<Migration> =
            migrations.iter().filter(|m| levels.get(m.house).is_some_and(|had| m.version <= *had)).copied().collect();
        tx.migrate(&had).await?;
        for row in tx.fetch(TABLES, vec![]).await? {
            tx.copy_in(&row.text(0)?, folder).await?;
        }
        tx.commit().await?;
        Ok(db)
    }

    /// Takes back what [`Self::from_snapshot`] laid down and that proved to be wrong: the tables are gone, the database is empty again.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn take_back(self) -> Result<()> {
        if self.is_shared() {
            let mut tx = self.begin().await?;
            for row in tx.fetch(TABLES, vec![]).await? {
                tx.execute(format!("DROP TABLE \"{}\" CASCADE", row.text(0)?), vec![]).await?;
            }
            tx.commit().await?;
        }
        self.close().await;
        Ok(())
    }

    /// The newest step of each house's tables; empty where nothing stands yet.
    pub async fn levels(&self) -> Result<Levels> {
        match self.fetch(LEVELS, vec![]).await {
            Ok(rows) => levels_of(&rows),
            Err(_) if !self.has_migrations().await? => Ok(Levels::new()),
            Err(error) => Err(error),
        }
    }

    async fn has_migrations(&self) -> Result<bool> {
        const SQLITE: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name = $1";
        const POSTGRES: &str =
            "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1";
        let sql = if self.is_shared() { POSTGRES } else { SQLITE };
        Ok(!self.fetch(sql, crate::binds![REBUILT]).await?.is_empty())
    }
}

fn levels_of(rows: &[Row]) -> Result<Levels> {
    rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?))).collect()
}

async fn snapshot_sqlite(read: &SqlitePool, file: &Path, also: &'static str) -> Result<(Levels, Vec<Row>)> {
    private_file(file, &[])?;
    sqlite(read, "VACUUM INTO $1".into(), crate::binds![file.to_string_lossy().as_ref()]).await?;
    File::open(file).await?.sync_all().await?;
    let options = SqliteConnectOptions::new().filename(file).read_only(true).immutable(true);
    let mut copy = SqliteConnection::connect_with(&options).await?;
    let levels = levels_of(&sqlite(&mut copy, LEVELS.into(), vec![]).await?)?;
    let rows = sqlite(&mut copy, also.into(), vec![]).await?;
    copy.close().await?;
    Ok((levels, rows))
}

async fn snapshot_postgres(pool: &PgPool, folder: &Path, also: &'static str) -> Result<(Levels, Vec<Row>)> {
    let mut connection = pool.acquire().await?;
    let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    let levels = levels_of(&postgres(&mut *tx, LEVELS.into(), vec![]).await?)?;
    let rows = postgres(&mut *tx, also.into(), vec![]).await?;
    for table in postgres(&mut *tx, TABLES.into(), vec![]).await? {
        let table = table.text(0)?;
        if table != REBUILT {
            copy_out(&mut tx, &table, folder).await?;
        }
    }
    tx.rollback().await?;
    Ok((levels, rows))
}

async fn copy_out(connection: &mut PgConnection, table: &str, folder: &Path) -> Result<()> {
    let mut file = create(&folder.join(table).with_extension(TABLE)).await?;
    let mut rows = connection.copy_out_raw(&format!("COPY \"{table}\" TO STDOUT (FORMAT binary)")).await?;
    while let Some(part) = rows.try_next().await? {
        file.write_all(&part).await?;
    }
    file.flush().await?;
    Ok(file.sync_all().await?)
}

impl Tx {
    async fn copy_in(&mut self, table: &str, folder: &Path) -> Result<()> {
        let On::Postgres(tx) = self.on() else { return Ok(()) };
        if table == REBUILT {
            return Ok(());
        }
        let file = File::open(folder.join(table).with_extension(TABLE)).await?;
        let mut rows = tx.copy_in_raw(&format!("COPY \"{table}\" FROM STDIN (FORMAT binary)")).await?;
        rows.read_from(file).await?;
        rows.finish().await?;
        Ok(())
    }
}

async fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let mut file = create(to).await?;
    tokio::io::copy(&mut File::open(from).await?, &mut file).await?;
    file.flush().await?;
    Ok(file.sync_all().await?)
}

/// A new file that only its owner reads.
async fn create(path: &Path) -> Result<File> {
    let broken = |cause| Error::broken(format!("{}: {cause}", path.display()));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).await.map_err(broken)
}
