//! The digests of the database's pages, in files beside it.
//!
//! ```text
//! views.db-digests = "runtime-manager page digests 1" and line breaks, 32 bytes in all | digest of page 1 | of page 2 | …
//! views.db-digests-next = what a checkpoint writes, made durable before it begins, removed after it has ended:
//!     salts 8 bytes | frames u32 | pages of the database u32 | (page u32 | its digest) … | BLAKE3 of all that, 32 bytes
//! ```
//! Numbers are little-endian. A file of digests without any belongs to a database that was being made.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::write_ahead_log::Committed;

/// The size of a page: SQLite's default, which every database of ours has.
pub(super) const PAGE_BYTES: usize = 4096;

/// The number of a page, counted from 1.
pub(super) type PageNumber = u32;

/// The beginning of a page's BLAKE3 hash.
pub(super) type PageDigest = [u8; DIGEST_BYTES];

/// What stands where no digest was noted before others behind it.
pub(super) const UNNOTED: PageDigest = [0; DIGEST_BYTES];

const DIGEST_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
const MAGIC: &[u8; 32] = b"runtime-manager page digests 1\n\n";
const PRIVATE: u32 = 0o600;

/// A page's digest.
pub(super) fn digest_of(page: &[u8]) -> PageDigest {
    let mut digest = [0; DIGEST_BYTES];
    digest.copy_from_slice(&blake3::hash(page).as_bytes()[..DIGEST_BYTES]);
    digest
}

/// A file beside the database.
pub(super) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The digests of all pages.
#[derive(Debug)]
pub(super) struct PageDigests {
    file: File,
}

impl PageDigests {
    /// Begins without any.
    pub(super) fn create(database: &Path) -> io::Result<Self> {
        let mut file = options().truncate(true).open(beside(database, "-digests"))?;
        file.write_all(MAGIC)?;
        file.sync_all()?;
        Ok(Self { file })
    }

    /// Opens those of a database; none if there are none in this form.
    pub(super) fn open(database: &Path) -> io::Result<Option<Self>> {
        let path = beside(database, "-digests");
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut magic = [0; MAGIC.len()];
        match file.read_exact_at(&mut magic, 0) {
            Ok(()) if magic == *MAGIC => Ok(Some(Self { file })),
            Ok(()) => Ok(None),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// How many pages have one.
    pub(super) fn count(&self) -> io::Result<PageNumber> {
        let bytes = self.file.metadata()?.len().saturating_sub(MAGIC.len() as u64);
        PageNumber::try_from(bytes / DIGEST_BYTES as u64).map_err(io::Error::other)
    }

    /// Those of some pages that have one.
    pub(super) fn read(&self, first: PageNumber, pages: PageNumber) -> io::Result<Vec<PageDigest>> {
        let mut bytes = vec![0; pages as usize * DIGEST_BYTES];
        self.file.read_exact_at(&mut bytes, offset(first))?;
        let (digests, _) = bytes.as_chunks();
        Ok(digests.to_vec())
    }

    /// Notes those of a page and of the ones behind it.
    pub(super) fn write(&self, first: PageNumber, digests: &[PageDigest]) -> io::Result<()> {
        self.file.write_all_at(digests.as_flattened(), offset(first))
    }

    /// Makes them durable, for a database of so many pages.
    pub(super) fn finish(&self, pages: PageNumber) -> io::Result<()> {
        self.file.set_len(offset(pages + 1))?;
        self.file.sync_data()
    }
}

fn offset(page: PageNumber) -> u64 {
    MAGIC.len() as u64 + u64::from(page - 1) * DIGEST_BYTES as u64
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(PRIVATE);
    options
}

/// Notes durably what a checkpoint is about to write.
pub(super) fn write_next(database: &Path, next: &Committed) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(64 + next.pages.len() * (4 + DIGEST_BYTES));
    bytes.extend_from_slice(&next.salts);
    bytes.extend_from_slice(&next.frames.to_le_bytes());
    bytes.extend_from_slice(&next.database_pages.to_le_bytes());
    for (page, digest) in &next.pages {
        bytes.extend_from_slice(&page.to_le_bytes());
        bytes.extend_from_slice(digest);
    }
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    let mut file = options().truncate(true).open(next_path(database))?;
    file.write_all(&bytes)?;
    file.sync_data()
}

/// What a checkpoint was about to write that didn't end; none if none had begun.
pub(super) fn read_next(database: &Path) -> io::Result<Option<Committed>> {
    let bytes = match fs::read(next_path(database)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let whole = bytes
        .split_last_chunk::<HASH_BYTES>()
        .filter(|(content, hash)| blake3::hash(content).as_bytes() == *hash);
    // A checkpoint begins only when this is whole.
    let Some((content, _)) = whole else {
        return Ok(None);
    };
    Ok(parsed(content))
}

fn parsed(content: &[u8]) -> Option<Committed> {
    let (salts, rest) = content.split_first_chunk::<8>()?;
    let (frames, rest) = rest.split_first_chunk::<4>()?;
    let (database_pages, rest) = rest.split_first_chunk::<4>()?;
    let (pages, _) = rest.as_chunks::<{ 4 + DIGEST_BYTES }>();
    let page = |entry: &[u8; 4 + DIGEST_BYTES]| {
        let (number, digest) = entry.split_first_chunk::<4>()?;
        Some((PageNumber::from_le_bytes(*number), digest.try_into().ok()?))
    };
    Some(Committed {
        salts: *salts,
        frames: u32::from_le_bytes(*frames),
        database_pages: u32::from_le_bytes(*database_pages),
        pages: pages.iter().map(page).collect::<Option<_>>()?,
    })
}

/// The checkpoint has ended.
pub(super) fn remove_next(database: &Path) -> io::Result<()> {
    match fs::remove_file(next_path(database)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn next_path(database: &Path) -> PathBuf {
    beside(database, "-digests-next")
}
