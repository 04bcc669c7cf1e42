//! A stopped node's database as it was some time ago.

use std::path::{Path, PathBuf};

use qianshou_kernel::config::Loaded;

use crate::database::ask;

/// What a stopped node's database is kept as.
pub(super) enum Backup {
    /// Copies of its files.
    Files {
        /// Where the files belong.
        home: PathBuf,
        /// Where their copies are.
        copies: PathBuf,
    },
    /// A copy on the same server.
    Server {
        /// A database of the server to talk to it by.
        server: String,
        /// The database's name.
        name: String,
    },
}

impl Backup {
    /// Copies the database of a node that is stopped.
    pub(super) async fn take(loaded: &Loaded) -> Self {
        if loaded.config.database.url.starts_with("sqlite:") {
            let (home, copies) = (loaded.directory.clone(), loaded.directory.join("backup"));
            std::fs::create_dir_all(&copies).unwrap();
            copy(&home, &copies);
            return Self::Files { home, copies };
        }
        let (server, name) = loaded.config.database.url.rsplit_once('/').unwrap();
        let (server, name) = (format!("{server}/postgres"), name.to_owned());
        ask(&server, format!("CREATE DATABASE {name}_backup TEMPLATE {name}")).await;
        Self::Server { server, name }
    }

    /// Puts the copy back in place of what there is.
    pub(super) async fn put_back(self) {
        match self {
            Self::Files { home, copies } => {
                files(&home).iter().for_each(|file| std::fs::remove_file(file).unwrap());
                copy(&copies, &home);
            }
            Self::Server { server, name } => {
                ask(&server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
                ask(&server, format!("ALTER DATABASE {name}_backup RENAME TO {name}")).await;
            }
        }
    }
}

/// The database's file, and its log if there is one.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("qianshou.db")))
        .collect()
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}
