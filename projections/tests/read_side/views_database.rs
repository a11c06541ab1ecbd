//! The views in SQLite.

use std::io::ErrorKind;
use std::path::Path;

use projections::Location;

/// An empty database for one test.
pub(crate) struct ViewsDatabase {
    directory: tempfile::TempDir,
}

impl ViewsDatabase {
    pub(crate) async fn fresh() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Self { directory }
    }

    pub(crate) fn location(&self) -> Location {
        Location::Sqlite(self.directory.path().join("views.db").display().to_string())
    }

    /// Everything that lies on the disk.
    pub(crate) fn bytes_at_rest(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.directory.path()).expect("the directory is readable");
        files
            .flat_map(|file| bytes_of(&file.expect("a file").path()))
            .collect()
    }
}

/// A file that SQLite has removed meanwhile holds nothing.
fn bytes_of(file: &Path) -> Vec<u8> {
    match std::fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read.expect("a readable file"),
    }
}
