//! A file that is written beside its place, for its owner's eyes alone, and takes the place when it is whole. Until then, and if anything
//! fails, what stood there stays.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// A file under way.
#[derive(Debug)]
pub(crate) struct Beside {
    /// Where it is written, and where it goes; `None` if it stands there already, such as a pipe.
    way: Option<(PathBuf, PathBuf)>,
    file: File,
}

impl Beside {
    /// Begins a file.
    ///
    /// # Errors
    /// The folder does not take it.
    pub(crate) fn create(place: &Path) -> io::Result<Self> {
        // A link stays a link.
        let place = match fs::metadata(place) {
            Ok(known) if known.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(known) if !known.is_file() => {
                let file = OpenOptions::new().write(true).open(place)?;
                return Ok(Self { way: None, file });
            }
            Ok(_) => fs::canonicalize(place)?,
            Err(_) => place.to_owned(),
        };
        let name = place.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
        let part = place.with_file_name(format!(".{name}.part"));
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let file = create().or_else(|cause| match cause.kind() {
            // Left by one that was killed.
            io::ErrorKind::AlreadyExists => fs::remove_file(&part).and_then(|()| create()),
            _ => Err(cause),
        })?;
        Ok(Self { way: Some((part, place)), file })
    }

    /// What to write into.
    ///
    /// # Errors
    /// No file descriptor is left.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Puts it into its place, after everything was written.
    ///
    /// # Errors
    /// The disk does not keep it; then what stood there stays.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if let Some((part, place)) = &self.way {
            self.file.sync_all()?;
            fs::rename(part, place)?;
            self.way = None;
        }
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.way {
            drop(fs::remove_file(part));
        }
    }
}

/// Writes a whole file.
///
/// # Errors
/// The folder or the disk does not take it; then what stood there stays.
pub(crate) fn write(place: &Path, text: &str) -> io::Result<()> {
    let beside = Beside::create(place)?;
    io::Write::write_all(&mut beside.file()?, text.as_bytes())?;
    beside.finish()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_not_finished_leaves_what_was() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("导出.csv");
        write(&place, "yesterday").unwrap();
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o600);
        let begun = Beside::create(&place).unwrap();
        io::Write::write_all(&mut begun.file().unwrap(), b"half").unwrap();
        // One that was killed leaves its part.
        std::mem::forget(begun);
        assert_eq!(fs::read_to_string(&place).unwrap(), "yesterday");
        drop(Beside::create(&place).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
        let link = folder.path().join("link.csv");
        std::os::unix::fs::symlink(&place, &link).unwrap();
        write(&link, "today").unwrap();
        assert_eq!(fs::read_to_string(&place).unwrap(), "today");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write(Path::new("/dev/null"), "nothing").unwrap();
        assert!(write(folder.path(), "a folder").is_err());
    }
}
