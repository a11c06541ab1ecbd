//! A SQLite file of ours while it is open: for its owner's eyes only, and still the one that stands under its name. Linux lets a
//! program go on writing into a file that was removed: what it acknowledges then is lost with the program's end.

use std::fs::{self, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const PRIVATE: u32 = 0o600;

/// A file that isn't there any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} was removed or replaced while the program uses it: nothing more is acknowledged. Put the file back; or save what the \
     program still has open (docs/operations.md says how), then restore a backup"
)]
pub struct LostFile {
    path: String,
}

/// A file, and its write-ahead log, as they were opened.
#[derive(Clone, Debug)]
pub struct OpenedFile {
    files: Vec<(PathBuf, Identity)>,
}

/// Which file of which file system.
type Identity = (u64, u64);

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

impl OpenedFile {
    /// Notes which file this is, after it was opened.
    pub fn of(path: &Path) -> io::Result<Self> {
        let mut write_ahead_log = path.as_os_str().to_owned();
        write_ahead_log.push("-wal");
        let mut files = vec![(path.to_owned(), identity(&fs::metadata(path)?))];
        match fs::metadata(&write_ahead_log) {
            Ok(metadata) => files.push((write_ahead_log.into(), identity(&metadata))),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self { files })
    }

    /// Checks that it still stands under its name.
    pub fn check(&self) -> Result<(), LostFile> {
        for (path, opened) in &self.files {
            if fs::metadata(path).map(|metadata| identity(&metadata)).ok() != Some(*opened) {
                return Err(LostFile {
                    path: path.display().to_string(),
                });
            }
        }
        Ok(())
    }
}

/// Makes the file if it isn't there, and leaves it to its owner alone. SQLite makes the files beside it with the same permissions.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(PRIVATE);
    options
        .open(path)?
        .set_permissions(Permissions::from_mode(PRIVATE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_removed_or_replaced_is_lost_until_it_is_put_back() {
        let home = tempfile::tempdir().unwrap();
        let (path, away) = (home.path().join("log.db"), home.path().join("away"));
        make_private(&path).unwrap();
        let opened = OpenedFile::of(&path).unwrap();
        assert_eq!(opened.check(), Ok(()));
        fs::rename(&path, &away).unwrap();
        assert!(opened.check().is_err());
        fs::copy(&away, &path).unwrap();
        assert!(opened.check().is_err(), "a copy isn't what is open");
        fs::rename(&away, &path).unwrap();
        assert_eq!(opened.check(), Ok(()));
    }

    #[test]
    fn a_file_that_others_could_read_becomes_private() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log.db");
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        make_private(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, PRIVATE);
    }
}
