//! The data directory: private to its owner, used by one process at a time.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Who may enter the data directory: its owner.
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Who may read the files in it that hold secrets.
const PRIVATE_FILE: u32 = 0o600;

/// How often a held directory is asked for again, and how long in between: a killed process lets go of it only when the
/// operating system has taken it down.
const ATTEMPTS: u32 = 20;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(100);

/// The data directory, held by this process until this is dropped.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Holds the lock; the operating system lets go of it however the process ends.
    _lock: File,
}

/// Why the data directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    /// The operating system refuses.
    #[error("{path}: {source}; the data directory must exist or be creatable, and belong to this user")]
    File {
        /// Which file.
        path: String,
        /// What it said.
        source: std::io::Error,
    },
    /// Another process uses it.
    #[error(
        "{path} is used by the process {holder}: stop that one first, or name another directory with --data-dir"
    )]
    InUse {
        /// Which directory.
        path: String,
        /// The holder's process id as it wrote it.
        holder: String,
    },
    /// There is none yet.
    #[error(
        "{path} doesn't exist: name the data directory of an installation with --data-dir, or start one with `serve`"
    )]
    Missing {
        /// Which directory.
        path: String,
    },
}

impl DataDirectory {
    /// Makes the directory if there is none, and takes it for this process.
    pub fn create_and_lock(path: &Path) -> Result<Self, DataDirectoryError> {
        let failed = |source| file_error(path, source);
        DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE_DIRECTORY)
            .create(path)
            .map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(PRIVATE_DIRECTORY)).map_err(failed)?;
        Self::lock(path)
    }

    /// Takes an existing directory for this process; waits up to 2 s for a holder that is ending.
    #[expect(
        clippy::disallowed_methods,
        reason = "before anything else runs; the operating system tells nobody when a lock is free"
    )]
    pub fn lock(path: &Path) -> Result<Self, DataDirectoryError> {
        for _ in 1..ATTEMPTS {
            match Self::lock_at_once(path) {
                Err(DataDirectoryError::InUse { .. }) => thread::sleep(BETWEEN_ATTEMPTS),
                taken => return taken,
            }
        }
        Self::lock_at_once(path)
    }

    /// Takes an existing directory for this process unless another holds it now.
    pub fn lock_at_once(path: &Path) -> Result<Self, DataDirectoryError> {
        if !path.is_dir() {
            return Err(DataDirectoryError::Missing {
                path: path.display().to_string(),
            });
        }
        let lock_path = path.join("lock");
        let failed = |source| file_error(&lock_path, source);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE_FILE)
            .open(&lock_path)
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                lock.read_to_string(&mut holder).map_err(failed)?;
                return Err(DataDirectoryError::InUse {
                    path: path.display().to_string(),
                    holder: holder.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let write_holder = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write_holder(&mut lock).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Which process holds an existing directory, if one does; takes nothing and writes nothing.
    pub fn holder(path: &Path) -> Result<Option<String>, DataDirectoryError> {
        let lock_path = path.join("lock");
        let failed = |source| file_error(&lock_path, source);
        if !path.is_dir() {
            return Err(DataDirectoryError::Missing {
                path: path.display().to_string(),
            });
        }
        let mut lock = match File::open(&lock_path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        match lock.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                lock.read_to_string(&mut holder).map_err(failed)?;
                Ok(Some(holder.trim().to_owned()))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file whole: after a crash it has its old content or all of the new, durably. A secret is for the owner's eyes only.
    pub fn write_durably(&self, name: &str, content: &str, secret: bool) -> Result<(), DataDirectoryError> {
        let path = self.file(name);
        let unfinished = self.file(&format!("{name}.new"));
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(if secret { PRIVATE_FILE } else { 0o644 })
                .open(&unfinished)?;
            file.write_all(content.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(|source| file_error(&path, source))
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) -> Result<(), DataDirectoryError> {
        let path = self.file(name);
        fs::remove_file(&path).map_err(|source| file_error(&path, source))
    }

    /// Reads a file; `None` if there is none.
    pub fn read(&self, name: &str) -> Result<Option<String>, DataDirectoryError> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error(&path, error)),
        }
    }
}

fn file_error(path: &Path, source: std::io::Error) -> DataDirectoryError {
    DataDirectoryError::File {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_with_the_firsts_process_id() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        let first = DataDirectory::create_and_lock(&path).unwrap();
        let refusal = DataDirectory::lock_at_once(&path).unwrap_err().to_string();
        assert!(refusal.contains(&std::process::id().to_string()), "{refusal}");
        let holder = DataDirectory::holder(&path).unwrap();
        assert_eq!(holder, Some(std::process::id().to_string()));
        drop(first);
        assert_eq!(DataDirectory::holder(&path).unwrap(), None);
        DataDirectory::lock_at_once(&path).unwrap();
    }

    #[test]
    fn a_directory_whose_holder_is_ending_is_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        let ending = DataDirectory::create_and_lock(&path).unwrap();
        let next = thread::spawn({
            let path = path.clone();
            move || DataDirectory::lock(&path)
        });
        assert!(matches!(
            DataDirectory::lock_at_once(&path),
            Err(DataDirectoryError::InUse { .. })
        ));
        drop(ending);
        next.join().unwrap().unwrap();
    }

    #[test]
    fn directory_and_secrets_are_for_their_owner() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        let directory = DataDirectory::create_and_lock(&path).unwrap();
        directory.write_durably("admin.token", "secret\n", true).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("admin.token")), 0o600);
        assert_eq!(
            directory.read("admin.token").unwrap().as_deref(),
            Some("secret\n")
        );
        assert_eq!(directory.read("missing").unwrap(), None);
    }

    #[test]
    fn a_directory_that_is_not_there_is_not_made_by_looking() {
        let home = tempfile::tempdir().unwrap();
        let refusal = DataDirectory::lock(&home.path().join("data")).unwrap_err();
        assert!(matches!(refusal, DataDirectoryError::Missing { .. }), "{refusal}");
    }
}
