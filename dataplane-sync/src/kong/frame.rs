//! A message as it is sent: a few bytes of a connection's own and a large part that many connections share, so that a
//! configuration isn't copied into each connection's message.

use bytes::Bytes;

/// One message. An instance never gets it in fragments, and never more bytes than it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What is this connection's own.
    pub head: Vec<u8>,
    /// What follows it; may be empty.
    pub body: Bytes,
}

impl Frame {
    /// Its length in bytes.
    pub const fn length(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// All of it in one piece.
    pub fn joined(&self) -> Vec<u8> {
        [&self.head, &self.body[..]].concat()
    }
}

impl From<Vec<u8>> for Frame {
    fn from(head: Vec<u8>) -> Self {
        let body = Bytes::new();
        Self { head, body }
    }
}
