//! What SQLite's write-ahead log holds that was committed, read from its file by the rules of SQLite's own recovery
//! (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek as _, SeekFrom};
use std::path::Path;

use super::page_digests::{PAGE_BYTES, PageDigest, PageNumber, digest_of};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;

/// The file's first number; the lowest bit says that checksums are taken of big-endian numbers.
const MAGIC: u32 = 0x377f_0682;

/// The frames up to the last one that commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Committed {
    /// What tells these frames from those that the file held before it was begun again.
    pub(super) salts: [u8; 8],
    /// How many there are.
    pub(super) frames: u32,
    /// How many pages the database has with them.
    pub(super) database_pages: u32,
    /// The digest of the newest content of each page among them.
    pub(super) pages: BTreeMap<PageNumber, PageDigest>,
}

/// Reads the committed frames; none if the file isn't there or holds none.
pub(super) fn committed(path: &Path) -> io::Result<Option<Committed>> {
    let mut frames = CommittedFrames::default();
    Ok(frames.read(path)?.cloned())
}

/// The committed frames of a file that grows: each is read once.
#[derive(Debug, Default)]
pub(super) struct CommittedFrames {
    known: Option<Known>,
}

#[derive(Debug)]
struct Known {
    committed: Committed,
    /// Of everything up to the last committed frame.
    checksum: Checksum,
    /// Where that frame ends.
    end: u64,
}

impl CommittedFrames {
    /// Reads what was added, or everything if the file was begun again; none if it isn't there or holds none.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Option<&Committed>> {
        let before = self.known.take();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut frames = BufReader::with_capacity(1 << 20, file);
        let Some(begun) = header(&mut frames)? else {
            return Ok(None);
        };
        let known = match before {
            Some(before) if before.committed.salts == begun.committed.salts => before,
            _ => begun,
        };
        frames.seek(SeekFrom::Start(known.end))?;
        let known = self.known.insert(known);
        known.read_on(&mut frames)?;
        Ok((known.committed.frames > 0).then_some(&known.committed))
    }
}

/// The header of a file; none if it isn't one.
fn header(file: &mut impl Read) -> io::Result<Option<Known>> {
    let mut header = [0; HEADER_BYTES];
    if !fill(file, &mut header)? || number(&header, 0) & !1 != MAGIC {
        return Ok(None);
    }
    let mut checksum = Checksum {
        big_endian: header[3] & 1 == 1,
        sums: (0, 0),
    };
    checksum.take(&header[..24]);
    if number(&header, 8) as usize != PAGE_BYTES || !checksum.is(&header[24..]) {
        return Ok(None);
    }
    let mut committed = Committed::default();
    committed.salts.copy_from_slice(&header[16..24]);
    Ok(Some(Known {
        committed,
        checksum,
        end: HEADER_BYTES as u64,
    }))
}

impl Known {
    fn read_on(&mut self, frames: &mut impl Read) -> io::Result<()> {
        let committed = &mut self.committed;
        let (mut checksum, mut end) = (self.checksum, self.end);
        let (mut seen, mut uncommitted) = (committed.frames, Vec::new());
        let mut header = [0; FRAME_HEADER_BYTES];
        let mut page = vec![0; PAGE_BYTES];
        while fill(frames, &mut header)? && fill(frames, &mut page)? {
            checksum.take(&header[..8]);
            checksum.take(&page);
            if header[8..16] != committed.salts || !checksum.is(&header[16..]) {
                break;
            }
            seen += 1;
            end += (FRAME_HEADER_BYTES + PAGE_BYTES) as u64;
            uncommitted.push((number(&header, 0), digest_of(&page)));
            let database_pages = number(&header, 4);
            if database_pages != 0 {
                committed.frames = seen;
                committed.database_pages = database_pages;
                committed.pages.extend(uncommitted.drain(..));
                (self.checksum, self.end) = (checksum, end);
            }
        }
        Ok(())
    }
}

/// Fills a buffer; says whether there was enough.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match source.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The running checksum of header and frames.
#[derive(Clone, Copy, Debug)]
struct Checksum {
    big_endian: bool,
    sums: (u32, u32),
}

impl Checksum {
    /// Takes bytes in, a multiple of eight.
    fn take(&mut self, bytes: &[u8]) {
        let read = |bytes: &[u8]| {
            let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
            match self.big_endian {
                true => u32::from_be_bytes(bytes),
                false => u32::from_le_bytes(bytes),
            }
        };
        let (mut first, mut second) = self.sums;
        for pair in bytes.chunks_exact(8) {
            first = first.wrapping_add(read(&pair[..4])).wrapping_add(second);
            second = second.wrapping_add(read(&pair[4..])).wrapping_add(first);
        }
        self.sums = (first, second);
    }

    /// Whether it is what stands there.
    fn is(&self, bytes: &[u8]) -> bool {
        self.sums == (number(bytes, 0), number(bytes, 4))
    }
}
