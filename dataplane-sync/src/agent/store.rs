//! The configuration on an instance's disk: a base file, and the changes since in a file that is only appended to.
//!
//! Both are sequences of records: length, checksum, payload. A torn or damaged record ends what is read; the control
//! plane sends what is missing. Every function here blocks.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::replica::{Origin, Replica};
use crate::native::frames::{self, Delta, ServerFrame};

const BASE: &str = "base.snapshot";
const DELTAS: &str = "deltas.log";
/// Changes of fewer bytes aren't worth a new base.
const COMPACT_FROM: u64 = 1024 * 1024;
/// A record's length and checksum.
const HEADER: usize = 4 + 8;

/// The first record of both files.
#[derive(Debug, Serialize, Deserialize)]
struct Heading {
    format: u32,
    origin: Origin,
}

/// The files of an instance.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    deltas: Option<File>,
    base_size: u64,
    deltas_size: u64,
}

impl Store {
    /// Opens a directory, made if it isn't there, and reads what it holds.
    pub fn open(directory: &Path) -> io::Result<(Self, Replica)> {
        fs::create_dir_all(directory)?;
        restrict(directory, 0o700)?;
        let mut store = Self {
            directory: directory.to_owned(),
            deltas: None,
            base_size: 0,
            deltas_size: 0,
        };
        let replica = store.read()?;
        Ok((store, replica))
    }

    /// Appends changes, durably.
    pub fn append(&mut self, deltas: &[Delta]) -> io::Result<()> {
        let Some(file) = &mut self.deltas else {
            return Err(io::Error::other("there is no base to append to"));
        };
        let mut bytes = Vec::new();
        for delta in deltas {
            let payload = frames::encode(&ServerFrame::Delta(delta.clone()));
            write_record(&mut bytes, &payload);
        }
        file.write_all(&bytes)?;
        file.sync_data()?;
        self.deltas_size += bytes.len() as u64;
        Ok(())
    }

    /// Whether the changes outweigh the base, so that it should be written anew.
    pub fn wants_compaction(&self) -> bool {
        self.deltas_size > self.base_size.max(COMPACT_FROM)
    }

    /// Writes a new base and starts over with no changes. A crash in between leaves changes that the new base has
    /// already: they are passed over when read.
    pub fn rewrite(&mut self, replica: &Replica) -> io::Result<()> {
        let (Some(origin), Some(snapshot)) = (replica.origin(), replica.snapshot()) else {
            return Ok(());
        };
        let mut heading = Vec::new();
        write_record(&mut heading, &encode_heading(origin));
        let mut base = heading.clone();
        write_record(&mut base, &frames::encode(&ServerFrame::Snapshot(snapshot)));
        self.put(BASE, &base)?;
        self.put(DELTAS, &heading)?;
        self.base_size = base.len() as u64;
        self.deltas_size = heading.len() as u64;
        self.deltas = Some(self.appending()?);
        Ok(())
    }

    fn read(&mut self) -> io::Result<Replica> {
        let base = read_or_empty(&self.path(BASE))?;
        let Some(mut replica) = read_base(&base) else {
            if !base.is_empty() {
                tracing::warn!(file = %self.path(BASE).display(), "the base file is damaged; starting without it");
            }
            return Ok(Replica::default());
        };
        let deltas = read_or_empty(&self.path(DELTAS))?;
        let whole = read_deltas(&deltas, &mut replica);
        if replica.applied().is_none() {
            // A change that led elsewhere spoilt the copy; the base alone is still good.
            tracing::warn!(file = %self.path(DELTAS).display(), "the file of changes is damaged; starting from the base");
            replica = read_base(&base).unwrap_or_default();
            self.rewrite(&replica)?;
            return Ok(replica);
        }
        if whole == 0 {
            self.rewrite(&replica)?;
            return Ok(replica);
        }
        let file = self.appending()?;
        file.set_len(whole as u64)?;
        self.deltas = Some(file);
        self.base_size = base.len() as u64;
        self.deltas_size = whole as u64;
        Ok(replica)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn appending(&self) -> io::Result<File> {
        OpenOptions::new().append(true).open(self.path(DELTAS))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        write_whole(&self.path(name), bytes)
    }
}

/// Replaces a file's contents in one step: readers see the old or the new, also after a crash. A new file is the
/// owner's alone, because configurations hold secrets; one that is there keeps its permissions.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut file = File::create(&new)?;
    match fs::metadata(path) {
        Ok(there) => fs::set_permissions(&new, there.permissions())?,
        Err(_) => restrict(&new, 0o600)?,
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn restrict(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

fn read_or_empty(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn read_base(bytes: &[u8]) -> Option<Replica> {
    let mut records = Records { rest: bytes };
    let origin = decode_heading(records.next()?)?;
    let ServerFrame::Snapshot(snapshot) = frames::decode_server(records.next()?).ok()? else {
        return None;
    };
    let mut replica = Replica::of(origin);
    replica.replace(&snapshot).ok()?;
    Some(replica)
}

/// Applies what can be read; answers how many bytes that was, 0 where the file doesn't belong to the base.
fn read_deltas(bytes: &[u8], replica: &mut Replica) -> usize {
    let mut records = Records { rest: bytes };
    if records.next().and_then(decode_heading) != replica.origin() {
        return 0;
    }
    let mut whole = bytes.len() - records.rest.len();
    while let Some(record) = records.next() {
        let Ok(ServerFrame::Delta(delta)) = frames::decode_server(record) else {
            break;
        };
        let here = replica.applied().map_or(0, |applied| applied.version);
        if delta.to > here && replica.advance(&delta).is_err() {
            break;
        }
        whole = bytes.len() - records.rest.len();
    }
    whole
}

fn encode_heading(origin: Origin) -> Vec<u8> {
    rmp_serde::to_vec_named(&Heading { format: 1, origin }).expect("a heading is plain data")
}

fn decode_heading(payload: &[u8]) -> Option<Origin> {
    let heading: Heading = rmp_serde::from_slice(payload).ok()?;
    (heading.format == 1).then_some(heading.origin)
}

fn write_record(bytes: &mut Vec<u8>, payload: &[u8]) {
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&checksum(payload));
    bytes.extend_from_slice(payload);
}

fn checksum(payload: &[u8]) -> [u8; 8] {
    let mut checksum = [0; 8];
    blake3::Hasher::new()
        .update(payload)
        .finalize_xof()
        .fill(&mut checksum);
    checksum
}

/// The whole records at the beginning of some bytes.
struct Records<'bytes> {
    rest: &'bytes [u8],
}

impl<'bytes> Records<'bytes> {
    fn next(&mut self) -> Option<&'bytes [u8]> {
        let (header, rest) = self.rest.split_at_checked(HEADER)?;
        let length = u32::from_be_bytes(header[..4].try_into().ok()?) as usize;
        let (payload, rest) = rest.split_at_checked(length)?;
        if checksum(payload) != header[4..] {
            return None;
        }
        self.rest = rest;
        Some(payload)
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
