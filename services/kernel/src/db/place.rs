//! Where a SQLite database is: a file, which is told apart by its device and its number there, whatever names lead to it.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{
    error::{Error, Reason, Result},
    files::close_to_others,
};

/// What tells a file apart: its device, and its number there.
type Key = (u64, u64);

/// Files that this process has locked, and whether somebody holds the lock. A file stays open when its lock is released: whoever
/// closes one loses all of SQLite's own locks on it, which are the process's.
static LOCKED: Mutex<BTreeMap<Key, (File, bool)>> = Mutex::new(BTreeMap::new());

/// A file as it was when it was opened.
#[derive(Debug)]
pub(super) struct Place {
    file: PathBuf,
    key: Key,
}

/// As long as this lives, no other process on this machine serves the same file, under whatever name.
#[derive(Debug)]
pub struct Hold(Key);

impl Place {
    /// # Errors
    /// A refusal if the file is not there, or has a second name: SQLite keeps its log beside a name, and two names would have two.
    pub(super) fn of(file: &Path) -> Result<Self> {
        let missing = |_| {
            let shown = file.display();
            let zh = format!(
                "数据库文件 {shown} 不存在（磁盘或卷未挂载？）；请恢复该文件，或从备份恢复（qianshou restore），新节点请用 qianshou init"
            );
            let en = format!(
                "the database's file {shown} is not there (a disk or volume that is not mounted?); put it back, restore a backup \
                 (`qianshou restore`), or begin a new node with `qianshou init`"
            );
            Error::told("database.url", Reason::NotFound, zh, en)
        };
        let found = fs::metadata(file).map_err(missing)?;
        if found.nlink() > 1 {
            let shown = file.display();
            let zh = format!("数据库文件 {shown} 还有另一个名称（硬链接），两处同时使用会损坏数据；请删除多余的链接");
            let en = format!(
                "the database's file {shown} has another name, too (a hard link); used by both it would be destroyed. Remove the other link"
            );
            return Err(Error::told("database.url", Reason::Duplicate, zh, en));
        }
        for end in ["", "-wal", "-shm"] {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            close_to_others(Path::new(&name))?;
        }
        Ok(Self { file: file.to_owned(), key: key(&found) })
    }

    /// Whether the name still leads to the same file.
    pub(super) fn holds(&self) -> bool {
        fs::metadata(&self.file).is_ok_and(|found| key(&found) == self.key)
    }

    pub(super) fn free_bytes(&self) -> u64 {
        let folder = self.file.parent().unwrap_or(&self.file);
        rustix::fs::statvfs(folder).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Locks the file itself, so that neither another name nor a lock file that somebody removed lets a second process in. `None`:
    /// another one has it. SQLite's locks are of another sort and are not touched.
    pub(super) fn hold(&self) -> Result<Option<Hold>> {
        let mut locked = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
        // What nobody can reach any more may be closed.
        locked.retain(|_, (file, held)| *held || file.metadata().is_ok_and(|found| found.nlink() > 0));
        let (file, held) = match locked.remove(&self.key) {
            Some(known) => known,
            None => (File::open(&self.file)?, false),
        };
        let taken = if held { Err(TryLockError::WouldBlock) } else { file.try_lock() };
        locked.insert(self.key, (file, held || taken.is_ok()));
        match taken {
            Ok(()) => Ok(Some(Hold(self.key))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(cause.into()),
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut locked = LOCKED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((file, held)) = locked.get_mut(&self.0) {
            // Where it cannot be released, it is at the end of the process.
            *held = file.unlock().is_err();
        }
    }
}

fn key(found: &Metadata) -> Key {
    (found.dev(), found.ino())
}
