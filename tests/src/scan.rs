//! The scanner: looks for a text in everything a node has, file by file and column by column.
//!
//! Files are read raw, so it sees what a thief of the disk would see: databases, write-ahead logs, journals, logs, keys. Columns
//! are read through the database too, for there a text is whole that a page boundary or a compression may have cut in the file.

use std::path::{Path, PathBuf};

use qianshou_kernel::db::{Db, Row};

/// Everything a node has, at one moment.
pub struct Everything(Vec<(String, String)>);

impl Everything {
    /// Reads it all: the files of a folder, and the columns of a database.
    pub async fn of(folder: &Path, db: &Db) -> Self {
        let mut places = vec![];
        for file in files(folder) {
            // A file that has gone meanwhile holds nothing.
            let bytes = std::fs::read(&file).unwrap_or_default();
            places.push((file.display().to_string(), legible(&bytes)));
        }
        for (table, column) in columns(db).await {
            let name = format!("\"{}\"", column.name);
            let bytes = match db.is_shared() {
                _ if column.is_bytes => name,
                true => format!("convert_to(CAST({name} AS TEXT), 'UTF8')"),
                false => format!("CAST({name} AS BLOB)"),
            };
            let rows = db.fetch(format!("SELECT {bytes} FROM \"{table}\""), vec![]).await.unwrap();
            let values = rows.iter().map(|row| legible(&row.maybe_bytes(0).unwrap().unwrap_or_default()));
            places.push((format!("{table}.{}", column.name), values.collect::<Vec<_>>().join("\n")));
        }
        Self(places)
    }

    /// Something else, by its places.
    pub fn told(places: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self(places.into_iter().map(|(place, bytes)| (place, legible(&bytes))).collect())
    }

    /// Where a text stands: `file` or `table.column`.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<&str> {
        self.0.iter().filter(|(_, content)| content.contains(text)).map(|(place, _)| place.as_str()).collect()
    }
}

/// Whatever is text in some bytes, for searching; a text never begins inside a character, so none is lost.
fn legible(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

struct Column {
    name: String,
    is_bytes: bool,
}

async fn columns(db: &Db) -> Vec<(String, Column)> {
    let sql = if db.is_shared() {
        "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT), CAST(data_type AS TEXT) \
         FROM information_schema.columns WHERE table_schema = 'public'"
    } else {
        "SELECT m.name, c.name, c.type FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
    };
    let column = |row: &Row| {
        let is_bytes = matches!(row.text(2).unwrap().as_str(), "bytea" | "BLOB");
        (row.text(0).unwrap(), Column { name: row.text(1).unwrap(), is_bytes })
    };
    db.fetch(sql, vec![]).await.unwrap().iter().map(column).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
