//! Searching what lies on a disk, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};

/// A text or a run of bytes that is looked for, and what it is.
#[derive(Debug, Clone)]
pub struct Needle {
    what: String,
    bytes: Vec<u8>,
}

impl Needle {
    /// These bytes, called `what` where they are found.
    ///
    /// # Panics
    /// When they are too few to be recognised.
    pub fn new(what: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let (what, bytes) = (what.to_owned(), bytes.into());
        assert!(bytes.len() >= 8, "{what} is too short to be told from chance");
        Self { what, bytes }
    }

    /// A text, called as it reads.
    pub fn text(text: &str) -> Self {
        Self::new(text, text)
    }

    /// Whether these bytes stand in there.
    pub fn is_in(&self, haystack: &[u8]) -> bool {
        haystack
            .windows(self.bytes.len())
            .any(|window| window == self.bytes)
    }
}

/// Where which needles are: `file: needle`, over every file at or below these places, sorted. A file that ends meanwhile is
/// left out.
///
/// # Panics
/// When a place can't be read.
pub fn found(places: &[PathBuf], needles: &[Needle]) -> Vec<String> {
    let mut found = Vec::new();
    for place in places {
        for file in files(place) {
            let Ok(content) = fs::read(&file) else {
                continue;
            };
            let inside = needles.iter().filter(|needle| needle.is_in(&content));
            found.extend(inside.map(|needle| format!("{}: {}", file.display(), needle.what)));
        }
    }
    found.sort();
    found
}

/// Every file at or below a place.
///
/// # Panics
/// When the place can't be read.
pub fn files(place: &Path) -> Vec<PathBuf> {
    if !place.is_dir() {
        return vec![place.to_owned()];
    }
    let entries = fs::read_dir(place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<_> = paths.flat_map(|path| files(&path)).collect();
    files.sort();
    files
}
