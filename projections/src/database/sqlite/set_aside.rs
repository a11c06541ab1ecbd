//! Setting a damaged database aside: it is kept under another name, for those who want to find out what happened to it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use domain::Timestamp;

use super::page_digests::{beside, remove_next};

/// How many are kept: more would fill the disk that damages them.
const KEPT: usize = 2;

/// A database that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetAside {
    /// Under which name it is kept.
    pub(crate) path: PathBuf,
    /// What was found.
    pub(crate) damage: String,
}

/// Gives the database's file another name, with its write-ahead log.
pub(super) fn set_aside(database: &Path, damage: String, now: Timestamp) -> io::Result<SetAside> {
    let time = now.rfc3339().replace(':', "");
    let path = beside(database, &format!("{MARK}{time}"));
    rename(database, &path)?;
    let mut kept = kept(database)?;
    kept.reverse();
    for old in kept.into_iter().skip(KEPT) {
        fs::remove_file(&old)?;
        // It may have had none.
        drop(fs::remove_file(beside(&old, "-wal")));
    }
    Ok(SetAside { path, damage })
}

/// Gives a database another name, with its write-ahead log. Its digests aren't needed any more.
pub(super) fn rename(database: &Path, to: &Path) -> io::Result<()> {
    fs::rename(database, to)?;
    match fs::rename(beside(database, "-wal"), beside(to, "-wal")) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    remove_next(database)
}

const MARK: &str = ".damaged-";

/// The databases that were set aside, the oldest first.
pub(super) fn kept(database: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(directory), Some(name)) = (database.parent(), database.file_name()) else {
        return Ok(Vec::new());
    };
    let begins = format!("{}{MARK}", name.to_string_lossy());
    let mut kept = Vec::new();
    for file in fs::read_dir(directory)? {
        let name = file?.file_name();
        let text = name.to_string_lossy();
        if text.starts_with(&begins) && !text.ends_with("-wal") {
            kept.push(directory.join(&name));
        }
    }
    kept.sort();
    Ok(kept)
}
