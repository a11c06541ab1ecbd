//! The witness's files.
//!
//! ```text
//! head.json = the signed head, replaced as a whole
//! witness   = "runtime-manager witness 1" and line breaks, 32 bytes in all | the running digest after position 1 | after 2 | …
//! ```
//! Neither is synced while the program runs, which would hold the log up: after a power loss they may be behind the log, and
//! `witness` behind `head.json`; the next start makes that good.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use domain::{Digest, Position};

use super::WitnessError;
use crate::log::head::{HeadError, SignedHead};

/// The signed head's file in the data directory.
pub const HEAD_FILE: &str = "head.json";
/// The file of digests in the data directory.
pub const WITNESS_FILE: &str = "witness";

const MAGIC: &[u8; DIGEST_BYTES] = b"runtime-manager witness 1\n\n\n\n\n\n\n";
const DIGEST_BYTES: usize = 32;
const PRIVATE: u32 = 0o600;

/// What a directory holds of a head.
#[derive(Clone, Copy, Debug)]
pub enum WitnessedHead {
    /// This one; whose signature it is isn't checked yet.
    Signed(SignedHead),
    /// None, or nothing but the empty file that a power loss may leave.
    Missing,
}

/// Reads the head in this directory.
pub fn read_head(directory: &Path) -> Result<WitnessedHead, WitnessError> {
    let path = directory.join(HEAD_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(WitnessedHead::Missing),
        Err(error) => return Err(failed(&path, error)),
    };
    if text.bytes().all(|byte| byte == 0) {
        return Ok(WitnessedHead::Missing);
    }
    match SignedHead::parse(&text) {
        Ok(head) if head.head.position > Position::START => Ok(WitnessedHead::Signed(head)),
        Ok(_) => Err(bad_head(&path, HeadError::Form("its position is 0".to_owned()))),
        Err(error) => Err(bad_head(&path, error)),
    }
}

fn failed(path: &Path, source: io::Error) -> WitnessError {
    WitnessError::File {
        path: path.display().to_string(),
        source,
    }
}

fn bad_head(path: &Path, source: HeadError) -> WitnessError {
    WitnessError::Head {
        path: path.display().to_string(),
        source,
    }
}

/// Where the digest after a position stands in the file.
const fn offset(position: Position) -> u64 {
    position.0 * DIGEST_BYTES as u64
}

/// The files, opened for writing by the one process that holds the directory.
#[derive(Debug)]
pub(super) struct Files {
    head: PathBuf,
    path: PathBuf,
    digests: File,
}

impl Files {
    /// Opens the files in this directory, making what is missing. A file of digests of another form is begun anew.
    pub(super) fn open(directory: &Path) -> Result<Self, WitnessError> {
        let path = directory.join(WITNESS_FILE);
        let open = || {
            let mut digests = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(PRIVATE)
                .open(&path)?;
            let mut magic = [0; DIGEST_BYTES];
            if digests.read_exact(&mut magic).is_err() || magic != *MAGIC {
                digests.set_len(0)?;
                digests.write_all_at(MAGIC, 0)?;
            }
            Ok(digests)
        };
        let digests = open().map_err(|error| failed(&path, error))?;
        Ok(Self {
            head: directory.join(HEAD_FILE),
            path,
            digests,
        })
    }

    /// The head's file, for messages.
    pub(super) fn head_path(&self) -> String {
        self.head.display().to_string()
    }

    /// That the head's file is wrong.
    pub(super) fn bad_head(&self, source: HeadError) -> WitnessError {
        bad_head(&self.head, source)
    }

    /// Forgets every digest.
    pub(super) fn clear(&self) -> Result<(), WitnessError> {
        let cleared = self.digests.set_len(DIGEST_BYTES as u64);
        cleared.map_err(|error| failed(&self.path, error))
    }

    /// The last position that has a digest.
    pub(super) fn last(&self) -> Result<Position, WitnessError> {
        let metadata = self
            .digests
            .metadata()
            .map_err(|error| failed(&self.path, error))?;
        Ok(Position((metadata.len() / DIGEST_BYTES as u64).saturating_sub(1)))
    }

    /// The running digest after a position, if it was witnessed; none at the start.
    pub(super) fn digest_at(&self, position: Position) -> Result<Option<Digest>, WitnessError> {
        if position == Position::START || position > self.last()? {
            return Ok(None);
        }
        let mut digest = [0; DIGEST_BYTES];
        let read = self.digests.read_exact_at(&mut digest, offset(position));
        read.map_err(|error| failed(&self.path, error))?;
        Ok(Some(Digest(digest)))
    }

    /// Writes the running digests from a position on, one after another.
    pub(super) fn write_digests(&self, first: Position, digests: &[u8]) -> Result<(), WitnessError> {
        let written = self.digests.write_all_at(digests, offset(first));
        written.map_err(|error| failed(&self.path, error))
    }

    /// Replaces the head; whoever reads the file sees the old one or the new one.
    pub(super) fn write_head(&self, head: &SignedHead) -> Result<(), WitnessError> {
        let unfinished = self.head.with_extension("json.new");
        let write = || {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(PRIVATE)
                .open(&unfinished)?;
            let mut text = serde_json::to_vec_pretty(head)?;
            text.push(b'\n');
            file.write_all(&text)?;
            fs::rename(&unfinished, &self.head)
        };
        write().map_err(|error| failed(&self.head, error))
    }

    /// Makes both files durable.
    pub(super) fn sync(&self) -> Result<(), WitnessError> {
        let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
        self.digests
            .sync_all()
            .map_err(|error| failed(&self.path, error))?;
        match sync(&self.head) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            synced => synced.map_err(|error| failed(&self.head, error)),
        }
    }
}

/// Reads the running digests one after another, beside whoever writes them.
#[derive(Debug)]
pub struct WitnessReader {
    digests: BufReader<File>,
}

impl WitnessReader {
    /// Begins at position 1; none if this directory has no file of digests.
    pub fn open(directory: &Path) -> Result<Option<Self>, WitnessError> {
        let path = directory.join(WITNESS_FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, error)),
        };
        let mut digests = BufReader::new(file);
        let skipped = digests.seek(SeekFrom::Start(DIGEST_BYTES as u64));
        skipped.map_err(|error| failed(&path, error))?;
        Ok(Some(Self { digests }))
    }

    /// The running digest after the next position; none after the last.
    pub fn next_digest(&mut self) -> Option<Digest> {
        let mut digest = [0; DIGEST_BYTES];
        self.digests.read_exact(&mut digest).ok()?;
        Some(Digest(digest))
    }
}
