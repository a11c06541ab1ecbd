//! One gzip member out of pieces that were compressed apart (RFC 1951, RFC 1952).
//!
//! A piece's deflate blocks end with a full flush: on a byte boundary, and nothing after it refers to anything before it,
//! so pieces may be put behind one another in any order. What a member says of its whole content, length and CRC, comes
//! from those of the pieces: appending to a message multiplies the CRC so far by a power of x (modulo the CRC's
//! polynomial) that depends on the appended length only, and is kept with each piece.

use flate2::{Compress, Compression, Crc, FlushCompress};

/// Deflate, no flags, no time, no extra flags, unknown system.
const MEMBER_HEAD: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];
/// A final block without content.
const LAST_BLOCK: [u8; 5] = [1, 0, 0, 0xFF, 0xFF];
/// The most that a block without compression holds, in bytes.
const STORED_LIMIT: usize = 0xFFFF;
/// How hard is compressed: a whole configuration is made smaller once for all instances.
const LEVEL: u32 = 6;
/// The CRC's polynomial, least significant bit first.
const POLYNOMIAL: u32 = 0xEDB8_8320;
/// The polynomial 1, in the same order.
const ONE: u32 = 1 << 31;

/// A part of a member's content, compressed.
#[derive(Clone, Debug)]
pub struct Piece {
    deflated: Box<[u8]>,
    crc: u32,
    length: usize,
    /// x to the power of eight times the length.
    shift: u32,
}

impl Piece {
    /// Some text, left as it is: for what is too short to become smaller.
    pub fn stored(text: &[u8]) -> Self {
        let mut deflated = Vec::with_capacity(text.len() + 5);
        for block in text.chunks(STORED_LIMIT) {
            let length = (block.len() as u16).to_le_bytes();
            let check = (!(block.len() as u16)).to_le_bytes();
            deflated.push(0);
            deflated.extend_from_slice(&length);
            deflated.extend_from_slice(&check);
            deflated.extend_from_slice(block);
        }
        Self::of(text, deflated)
    }

    fn of(text: &[u8], deflated: Vec<u8>) -> Self {
        let mut crc = Crc::new();
        crc.update(text);
        Self {
            deflated: deflated.into(),
            crc: crc.sum(),
            length: text.len(),
            shift: power_of_x(8 * text.len() as u64),
        }
    }

    /// The length of its text, in bytes.
    pub const fn length(&self) -> usize {
        self.length
    }
}

/// Compresses texts, one after another.
#[derive(Debug)]
pub struct Compressor(Compress);

impl Default for Compressor {
    fn default() -> Self {
        Self(Compress::new(Compression::new(LEVEL), false))
    }
}

impl Compressor {
    /// Some text, compressed.
    pub fn compress(&mut self, text: &[u8]) -> Piece {
        self.0.reset();
        let mut deflated = Vec::with_capacity(text.len() / 6 + 64);
        loop {
            let taken = self.0.total_in() as usize;
            // Memory is its only limit, and the flush is done when there was room left.
            let done = self
                .0
                .compress_vec(&text[taken..], &mut deflated, FlushCompress::Full);
            if done.is_err() {
                return Piece::stored(text);
            }
            if self.0.total_in() as usize == text.len() && deflated.len() < deflated.capacity() {
                break;
            }
            deflated.reserve(deflated.capacity().max(64));
        }
        Piece::of(text, deflated)
    }
}

/// Appends one gzip member with the pieces as its content.
pub fn write_member<'pieces>(into: &mut Vec<u8>, pieces: impl Iterator<Item = &'pieces Piece>) {
    into.extend_from_slice(&MEMBER_HEAD);
    let (mut crc, mut length) = (0, 0_usize);
    for piece in pieces {
        into.extend_from_slice(&piece.deflated);
        crc = product(piece.shift, crc) ^ piece.crc;
        length += piece.length;
    }
    into.extend_from_slice(&LAST_BLOCK);
    into.extend_from_slice(&crc.to_le_bytes());
    into.extend_from_slice(&(length as u32).to_le_bytes());
}

/// How many bytes such a member has.
pub fn member_length<'pieces>(pieces: impl Iterator<Item = &'pieces Piece>) -> usize {
    let content: usize = pieces.map(|piece| piece.deflated.len()).sum();
    MEMBER_HEAD.len() + content + LAST_BLOCK.len() + 8
}

/// The product of two polynomials, modulo the CRC's.
const fn product(left: u32, mut right: u32) -> u32 {
    let mut sum = 0;
    let mut bit = ONE;
    while bit != 0 {
        if left & bit != 0 {
            sum ^= right;
        }
        right = if right & 1 != 0 {
            (right >> 1) ^ POLYNOMIAL
        } else {
            right >> 1
        };
        bit >>= 1;
    }
    sum
}

/// x to this power, modulo the CRC's polynomial.
const fn power_of_x(mut exponent: u64) -> u32 {
    let (mut power, mut square) = (ONE, ONE >> 1);
    while exponent != 0 {
        if exponent & 1 != 0 {
            power = product(square, power);
        }
        square = product(square, square);
        exponent >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn inflated(member: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut decoder = GzDecoder::new(member);
        decoder.read_to_end(&mut text).unwrap();
        assert!(
            decoder.into_inner().is_empty(),
            "one member and nothing behind it"
        );
        text
    }

    fn member(pieces: &[Piece]) -> Vec<u8> {
        let mut member = Vec::new();
        write_member(&mut member, pieces.iter());
        assert_eq!(member.len(), member_length(pieces.iter()));
        member
    }

    #[test]
    fn a_member_of_no_pieces_is_empty() {
        assert_eq!(inflated(&member(&[])), b"");
    }

    #[test]
    fn a_text_that_does_not_become_smaller_is_whole_all_the_same() {
        let noise: Vec<u8> = (0..200_000_u32)
            .map(|number| blake3::hash(&number.to_le_bytes()).as_bytes()[0])
            .collect();
        let pieces = [Compressor::default().compress(&noise), Piece::stored(&noise)];
        assert_eq!(inflated(&member(&pieces)), [noise.clone(), noise].concat());
    }

    proptest! {
        #[test]
        fn pieces_compressed_apart_are_one_member(texts in prop::collection::vec(("[a-c]{0,300}", any::<bool>()), 0..20)) {
            let mut compressor = Compressor::default();
            let pieces: Vec<Piece> = texts
                .iter()
                .map(|(text, stored)| match stored {
                    true => Piece::stored(text.as_bytes()),
                    false => compressor.compress(text.as_bytes()),
                })
                .collect();
            let whole: String = texts.iter().map(|(text, _)| text.as_str()).collect();
            prop_assert_eq!(inflated(&member(&pieces)), whole.as_bytes());
        }
    }
}
