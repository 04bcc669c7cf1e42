//! What a database is set to, where it matters that what is committed stays and that texts are texts.

use super::Db;
use crate::error::Result;

/// One setting that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What the database calls it.
    pub name: &'static str,
    /// What it says.
    pub value: String,
    /// Whether a node may live with it.
    pub holds: bool,
}

/// The oldest PostgreSQL that the statements were tried on.
const POSTGRES_LEAST: i64 = 130_000;
/// The oldest SQLite with everything the statements use, FTS5 without content whose rows can be deleted the latest of it.
const SQLITE_LEAST: [u32; 2] = [3, 43];

impl Db {
    /// Looks at every setting that matters.
    pub async fn settings(&self) -> Result<Vec<Setting>> {
        let mut settings = vec![];
        if self.is_shared() {
            let on = |value: &str| value == "on";
            settings.push(self.setting("SHOW fsync", "fsync", on).await?);
            settings.push(self.setting("SHOW full_page_writes", "full_page_writes", on).await?);
            settings.push(self.setting("SHOW synchronous_commit", "synchronous_commit", |v| v != "off").await?);
            settings.push(self.setting("SHOW server_encoding", "server_encoding", |v| v == "UTF8").await?);
            let recent = |v: &str| v.parse::<i64>().is_ok_and(|version| version >= POSTGRES_LEAST);
            settings.push(self.setting("SHOW server_version_num", "server_version_num", recent).await?);
        } else {
            settings.push(self.setting("PRAGMA journal_mode", "journal_mode", |v| v == "wal").await?);
            settings.push(self.setting("PRAGMA encoding", "encoding", |v| v == "UTF-8").await?);
            settings.push(self.setting("SELECT sqlite_version()", "version", sqlite_is_recent).await?);
            settings.push(self.setting("PRAGMA quick_check(1)", "quick_check", |v| v == "ok").await?);
        }
        Ok(settings)
    }

    async fn setting(&self, sql: &'static str, name: &'static str, holds: fn(&str) -> bool) -> Result<Setting> {
        let row = self.fetch_one(sql, vec![]).await?;
        let value = row.map(|row| row.text(0)).transpose()?.unwrap_or_default();
        Ok(Setting { name, holds: holds(&value), value })
    }

    /// What the database's own clock says, milliseconds since 1970-01-01 UTC; a file has none.
    pub async fn clock_ms(&self) -> Result<Option<i64>> {
        if !self.is_shared() {
            return Ok(None);
        }
        let now = "SELECT CAST(date_part('epoch', clock_timestamp()) * 1000 AS BIGINT)";
        self.fetch_one(now, vec![]).await?.map(|row| row.int(0)).transpose()
    }
}

fn sqlite_is_recent(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    [parts.next().unwrap_or(0), parts.next().unwrap_or(0)] >= SQLITE_LEAST
}
