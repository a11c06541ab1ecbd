//! Messages are raw Snappy blocks, whatever the encoding's name (`x-snappy-framed`) says.
//!
//! A block is its uncompressed length and then elements, each of them a text or a reference to some bytes before. So the
//! elements of a text that many connections are sent can follow a connection's own ones.

use bytes::Bytes;

use super::INSTANCE_MESSAGE_LIMIT;
use crate::kong::frame::Frame;

/// An element that holds text, whose length less one follows in two bytes.
const LITERAL_OF_TWO_BYTES_LENGTH: u8 = 61 << 2;
/// The most that such an element holds, in bytes.
const LITERAL_LIMIT: usize = 0x1_0000;

/// Bytes that are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this message isn't compressed as agreed: {0}")]
pub struct NotCompressed(String);

/// A text compressed once, to be sent to many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// The text's length in bytes.
    length: usize,
    elements: Bytes,
}

impl Compressed {
    /// Compresses a text.
    ///
    /// # Errors
    /// [`NotCompressed`] if it has 4 GiB or more.
    pub fn of(text: &str) -> Result<Self, NotCompressed> {
        let block = snap::raw::Encoder::new()
            .compress_vec(text.as_bytes())
            .map_err(|error| NotCompressed(error.to_string()))?;
        let mut length = Vec::new();
        write_length(&mut length, text.len());
        Ok(Self {
            length: text.len(),
            elements: Bytes::from(block).slice(length.len()..),
        })
    }

    /// The text again; none if there is no memory for it.
    pub fn text(&self) -> Option<String> {
        let mut block = Vec::with_capacity(self.elements.len() + 5);
        write_length(&mut block, self.length);
        block.extend_from_slice(&self.elements);
        String::from_utf8(snap::raw::Decoder::new().decompress_vec(&block).ok()?).ok()
    }

    /// Its compressed length in bytes.
    pub const fn size(&self) -> usize {
        self.elements.len()
    }
}

/// A message of a connection's own text and then one that many are sent.
pub fn message(own: &str, shared: &Compressed) -> Frame {
    Frame {
        head: block(own, shared.length),
        body: shared.elements.clone(),
    }
}

/// A message of a connection's own text only.
pub fn own_message(text: &str) -> Frame {
    Frame::from(block(text, 0))
}

/// The beginning of a block: a text that isn't worth compressing, after which so many more bytes follow.
fn block(text: &str, following: usize) -> Vec<u8> {
    let mut block = Vec::with_capacity(text.len() + 16);
    write_length(&mut block, text.len() + following);
    for part in text.as_bytes().chunks(LITERAL_LIMIT) {
        block.push(LITERAL_OF_TWO_BYTES_LENGTH);
        block.extend_from_slice(&((part.len() - 1) as u16).to_le_bytes());
        block.extend_from_slice(part);
    }
    block
}

fn write_length(block: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        block.push(length as u8 | 0x80);
        length >>= 7;
    }
    block.push(length as u8);
}

/// Reads an instance's message.
///
/// # Errors
/// [`NotCompressed`] if it isn't a block, or its text would be longer than [`INSTANCE_MESSAGE_LIMIT`].
pub fn decompress(bytes: &[u8]) -> Result<Vec<u8>, NotCompressed> {
    let refused = |error: snap::Error| NotCompressed(error.to_string());
    let length = snap::raw::decompress_len(bytes).map_err(refused)?;
    if length > INSTANCE_MESSAGE_LIMIT {
        return Err(NotCompressed(format!(
            "{length} bytes are more than the {INSTANCE_MESSAGE_LIMIT} allowed"
        )));
    }
    snap::raw::Decoder::new().decompress_vec(bytes).map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(frame: &Frame) -> String {
        let text = snap::raw::Decoder::new().decompress_vec(&frame.joined()).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn a_connections_own_text_and_a_shared_one_are_one_message() {
        for (own, shared) in [(0, 0), (1, 1), (60, 300_000), (70_000, 70_000), (200_000, 5)] {
            let (own, shared) = ("o".repeat(own), "a shared text; ".repeat(shared));
            let message = message(&own, &Compressed::of(&shared).unwrap());
            assert_eq!(read(&message), [own.as_str(), &shared].concat());
            assert_eq!(read(&own_message(&own)), own);
        }
    }

    #[test]
    fn a_shared_text_is_not_copied() {
        let shared = Compressed::of(&"text".repeat(1_000)).unwrap();
        let (one, other) = (message("1", &shared), message("2", &shared));
        assert_eq!(one.body.as_ptr(), other.body.as_ptr());
    }

    #[test]
    fn a_claimed_length_is_not_believed() {
        assert!(decompress(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]).is_err());
        assert!(decompress(&[]).is_err());
        assert!(decompress(b"{\"jsonrpc\":\"2.0\"}").is_err());
        let long = "x".repeat(INSTANCE_MESSAGE_LIMIT + 1);
        assert!(decompress(&own_message(&long).joined()).is_err());
        assert_eq!(decompress(&own_message("short").joined()).unwrap(), b"short");
    }
}
