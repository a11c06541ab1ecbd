//! A message too large for one piece: cut by the sender, put together by the receiver.

use bytes::Bytes;

use super::frames::{self, FRAME_LIMIT, NotAFrame, ServerFrame};

/// How many bytes of a message one part carries.
const PART: usize = 1024 * 1024;

/// An encoded frame as the messages to send: itself, or its parts.
pub fn cut(encoded: Vec<u8>) -> Vec<Bytes> {
    if encoded.len() <= PART {
        return vec![encoded.into()];
    }
    let of = encoded.len().div_ceil(PART) as u32;
    let part = |(number, data): (usize, &[u8])| {
        let number = number as u32;
        let data = data.to_vec();
        // The message was compressed as a whole.
        frames::encode_plain(&ServerFrame::Part { number, of, data }).into()
    };
    encoded.chunks(PART).enumerate().map(part).collect()
}

/// Puts the parts of a message together.
#[derive(Debug, Default)]
pub struct Assembler {
    of: u32,
    next: u32,
    bytes: Vec<u8>,
}

impl Assembler {
    /// Takes a frame as it came; answers it, or what its parts make once the last has come.
    pub fn take(&mut self, frame: ServerFrame) -> Result<Option<ServerFrame>, NotAFrame> {
        let ServerFrame::Part { number, of, data } = frame else {
            return Ok(Some(frame));
        };
        if number == 0 {
            *self = Self {
                of,
                ..Self::default()
            };
        }
        if number != self.next || of != self.of || number >= of {
            return Err(NotAFrame(format!("part {number} of {of} came out of order")));
        }
        if self.bytes.len() + data.len() > FRAME_LIMIT {
            return Err(NotAFrame("its parts are more than is allowed".to_owned()));
        }
        self.bytes.extend_from_slice(&data);
        self.next += 1;
        if self.next < of {
            return Ok(None);
        }
        match frames::decode_server(&std::mem::take(self).bytes)? {
            ServerFrame::Part { .. } => Err(NotAFrame("a part within a part".to_owned())),
            whole => Ok(Some(whole)),
        }
    }
}
