//! The form of an exported log: frames, each with its length and digest.
//!
//! ```text
//! file  = "runtime-manager log 1\n" header page* record* end
//! frame = kind (1 byte) | length of the body (4 bytes, little endian) | body (named MessagePack) | BLAKE3 (32 bytes)
//! ```
//! Each digest covers the one before it, the kind, the length and the body, so the last one covers the whole file.

use domain::{Boundary, Position};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a file begins with.
const MAGIC: &[u8] = b"runtime-manager log 1\n";

/// The largest body of a frame; a record has at most 900 KiB, a page of keys about 50 KiB.
const LARGEST_BODY: u32 = 2 * 1024 * 1024;

/// One piece of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Header(Header),
    Page(Page),
    Record(Record),
    End(End),
}

/// Which log this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The identity that the exported log had.
    pub(super) identity: String,
    /// The position of the last record in the file.
    pub(super) last: Position,
    /// Whether pages of keys follow.
    pub(super) keys: bool,
}

/// Keys under the master key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) boundary: Boundary,
    pub(super) number: u32,
    #[serde(with = "serde_bytes")]
    pub(super) sealed: Vec<u8>,
}

/// One record of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) position: Position,
    pub(super) boundary: Boundary,
    #[serde(with = "serde_bytes")]
    pub(super) bytes: Vec<u8>,
}

/// Nothing is missing before this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct End {
    pub(super) records: u64,
    pub(super) pages: u64,
}

/// Why a file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The file isn't an export.
    #[error("this is no exported log: it doesn't begin with `runtime-manager log 1`")]
    NoArchive,
    /// The file ends too early.
    #[error("the file ends after {0} bytes in the middle: it wasn't written or copied to its end")]
    CutOff(u64),
    /// Some bytes aren't what was written.
    #[error("the file is damaged between byte {from} and {to}: take another copy")]
    Damaged {
        /// Where the damaged frame begins.
        from: u64,
        /// Where it ends.
        to: u64,
    },
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] std::io::Error),
}

impl Frame {
    fn encode(&self) -> (u8, Vec<u8>) {
        const INFALLIBLE: &str = "frames hold nothing that MessagePack can't express";
        match self {
            Self::Header(header) => (b'h', rmp_serde::to_vec_named(header).expect(INFALLIBLE)),
            Self::Page(page) => (b'k', rmp_serde::to_vec_named(page).expect(INFALLIBLE)),
            Self::Record(record) => (b'r', rmp_serde::to_vec_named(record).expect(INFALLIBLE)),
            Self::End(end) => (b'e', rmp_serde::to_vec_named(end).expect(INFALLIBLE)),
        }
    }

    fn decode(kind: u8, body: &[u8]) -> Option<Self> {
        match kind {
            b'h' => rmp_serde::from_slice(body).ok().map(Self::Header),
            b'k' => rmp_serde::from_slice(body).ok().map(Self::Page),
            b'r' => rmp_serde::from_slice(body).ok().map(Self::Record),
            b'e' => rmp_serde::from_slice(body).ok().map(Self::End),
            _ => None,
        }
    }
}

/// The digest that links a frame to all before it.
fn link(before: &blake3::Hash, kind: u8, body: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(before.as_bytes())
        .update(&[kind])
        .update(&(body.len() as u64).to_le_bytes())
        .update(body);
    hasher.finalize()
}

/// Writes frames one after another.
#[derive(Debug)]
pub(super) struct FrameWriter<W> {
    output: W,
    digest: blake3::Hash,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    /// Begins a file.
    pub(super) async fn begin(mut output: W) -> Result<Self, FrameError> {
        output.write_all(MAGIC).await?;
        Ok(Self {
            output,
            digest: blake3::hash(MAGIC),
        })
    }

    /// Writes the next frame.
    pub(super) async fn write(&mut self, frame: &Frame) -> Result<(), FrameError> {
        let (kind, body) = frame.encode();
        self.digest = link(&self.digest, kind, &body);
        let length = u32::try_from(body.len()).map_err(std::io::Error::other)?;
        self.output.write_u8(kind).await?;
        self.output.write_u32_le(length).await?;
        self.output.write_all(&body).await?;
        self.output.write_all(self.digest.as_bytes()).await?;
        Ok(())
    }

    /// Hands everything to the operating system.
    pub(super) async fn finish(mut self) -> Result<(), FrameError> {
        Ok(self.output.flush().await?)
    }
}

/// Reads frames and checks each.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    input: R,
    digest: blake3::Hash,
    offset: u64,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    /// Begins to read a file.
    pub(super) async fn begin(mut input: R) -> Result<Self, FrameError> {
        let mut magic = vec![0; MAGIC.len()];
        let read = input.read_exact(&mut magic).await;
        if read.is_err() || magic != MAGIC {
            return Err(FrameError::NoArchive);
        }
        Ok(Self {
            input,
            digest: blake3::hash(MAGIC),
            offset: MAGIC.len() as u64,
        })
    }

    /// Reads the next frame.
    pub(super) async fn read(&mut self) -> Result<Frame, FrameError> {
        let from = self.offset;
        let mut head = [0; 5];
        self.fill(&mut head).await?;
        let [kind, length @ ..] = head;
        let length = u32::from_le_bytes(length);
        if length > LARGEST_BODY {
            return Err(FrameError::Damaged {
                from,
                to: self.offset,
            });
        }
        let mut body = vec![0; length as usize];
        self.fill(&mut body).await?;
        let mut digest = [0; 32];
        self.fill(&mut digest).await?;
        self.digest = link(&self.digest, kind, &body);
        let damaged = FrameError::Damaged {
            from,
            to: self.offset,
        };
        if self.digest != digest {
            return Err(damaged);
        }
        Frame::decode(kind, &body).ok_or(damaged)
    }

    async fn fill(&mut self, buffer: &mut [u8]) -> Result<(), FrameError> {
        let read = self.input.read_exact(buffer).await;
        read.map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => FrameError::CutOff(self.offset),
            _ => error.into(),
        })?;
        self.offset += buffer.len() as u64;
        Ok(())
    }
}
