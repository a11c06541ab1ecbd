//! Files with secrets: for nobody else to read, and never over one that is there.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A new file that only its owner reads, made before its secret is, so that no secret is made for nothing. It goes again
/// if nothing is written.
#[derive(Debug)]
pub struct PrivateFile {
    path: PathBuf,
    file: File,
    written: bool,
}

impl PrivateFile {
    /// Makes the file, and the folder it is in. Refuses a path at which something is.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        if path.exists() {
            bail!("{} exists already: name another place", path.display());
        }
        let cannot = || format!("{} can't be written", path.display());
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let mut folders = DirBuilder::new();
            folders
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(cannot)?;
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        Ok(Self {
            path: path.to_owned(),
            file: file.with_context(cannot)?,
            written: false,
        })
    }

    /// Writes its text.
    pub fn write(mut self, text: &str) -> anyhow::Result<()> {
        self.append(text.as_bytes())?;
        self.finish()
    }

    /// Writes a piece of what belongs into it; it goes again unless [`Self::finish`] is called.
    pub fn append(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        let written = self.file.write_all(piece);
        written.with_context(|| format!("{} can't be written", self.path.display()))
    }

    /// Everything is written: the file stays.
    pub fn finish(mut self) -> anyhow::Result<()> {
        let synced = self.file.sync_all();
        synced.with_context(|| format!("{} can't be written", self.path.display()))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if !self.written {
            // An empty file left behind does no harm.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_is_its_owners_alone_and_replaces_nothing() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("node/tls.key");
        PrivateFile::create(&path).unwrap().write("one").unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(PrivateFile::create(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
    }

    #[test]
    fn a_secret_that_was_not_made_leaves_no_file() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("tls.key");
        drop(PrivateFile::create(&path).unwrap());
        assert!(!path.exists());
    }
}
