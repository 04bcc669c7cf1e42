//! Files and folders that only their owner reads, whatever the umask says and whatever stood there before.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{Result, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

const FOLDER: u32 = 0o700;
const FILE: u32 = 0o600;
/// What group and others may do.
const OTHERS: u32 = 0o077;

/// Makes a folder and those above it that are missing. The folder itself, if it stands, is closed to others.
pub fn private_folder(path: &Path) -> Result<()> {
    if !path.is_dir() {
        DirBuilder::new().recursive(true).mode(FOLDER).create(path)?;
    }
    fs::set_permissions(path, Permissions::from_mode(FOLDER))
}

/// Makes a file that is not there yet, with these bytes, on the disk.
pub fn private_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = private(OpenOptions::new().write(true).create_new(true), path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a file, in place of whatever is in one of this name.
pub fn private_anew(path: &Path) -> Result<File> {
    private(OpenOptions::new().write(true).create(true).truncate(true), path)
}

fn private(options: &mut OpenOptions, path: &Path) -> Result<File> {
    let file = options.mode(FILE).open(path)?;
    // A pipe or a device, such as /dev/stdout, is not ours to close.
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(FILE))?;
    }
    Ok(file)
}

/// Closes a file to others, if it is there.
pub fn close_to_others(path: &Path) -> Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.permissions().mode() & OTHERS != 0 => {
            fs::set_permissions(path, Permissions::from_mode(found.permissions().mode() & !OTHERS & 0o777))
        }
        _ => Ok(()),
    }
}

/// The first thing in a folder, the folder itself included, that group or others may read or write.
#[must_use]
pub fn open_to_others(path: &Path) -> Option<PathBuf> {
    if fs::metadata(path).is_ok_and(|found| found.permissions().mode() & OTHERS != 0) {
        return Some(path.to_owned());
    }
    let mut below: Vec<PathBuf> = fs::read_dir(path).into_iter().flatten().flatten().map(|e| e.path()).collect();
    below.sort();
    below.iter().find_map(|path| open_to_others(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stood_open_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, file) = (folder.path().join("a/b"), folder.path().join("a/b/c"));
        private_folder(&inner).unwrap();
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(open_to_others(&inner), Some(file.clone()));
        private_anew(&file).unwrap();
        assert_eq!(open_to_others(&inner), None);
        assert!(private_file(&file, b"new").is_err());
        fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
        assert_eq!(open_to_others(&inner), Some(inner.clone()));
        private_folder(&inner).unwrap();
        assert_eq!(open_to_others(&inner), None);
    }
}
