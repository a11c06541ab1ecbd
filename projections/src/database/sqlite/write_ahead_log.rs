//! What SQLite's write-ahead log holds that was committed, read from its file by the rules of SQLite's own recovery
//! (<https://www.sqlite.org/fileformat2.html#the_write_ahead_log>).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
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
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut frames = BufReader::with_capacity(1 << 20, file);
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut frames, &mut header)? || number(&header, 0) & !1 != MAGIC {
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
    let mut salts = [0; 8];
    salts.copy_from_slice(&header[16..24]);
    let mut committed = Committed {
        salts,
        ..Committed::default()
    };
    let mut uncommitted = Vec::new();
    let mut seen = 0;
    let mut frame_header = [0; FRAME_HEADER_BYTES];
    let mut page = vec![0; PAGE_BYTES];
    while fill(&mut frames, &mut frame_header)? && fill(&mut frames, &mut page)? {
        checksum.take(&frame_header[..8]);
        checksum.take(&page);
        if frame_header[8..16] != salts || !checksum.is(&frame_header[16..]) {
            break;
        }
        seen += 1;
        uncommitted.push((number(&frame_header, 0), digest_of(&page)));
        let database_pages = number(&frame_header, 4);
        if database_pages != 0 {
            committed.frames = seen;
            committed.database_pages = database_pages;
            committed.pages.extend(uncommitted.drain(..));
        }
    }
    Ok((committed.frames > 0).then_some(committed))
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
