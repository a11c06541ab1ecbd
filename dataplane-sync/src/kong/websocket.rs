//! WebSocket frames as Kong's data planes take them (`kong-hybrid-protocol.md` §1.4): every message is one frame, never
//! in fragments, and a large one is bytes that all connections share.

use std::io;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest message taken from an instance, in bytes: a basic_info has some 14 kB, an error report more.
const MESSAGE_LIMIT: u64 = 1024 * 1024;
/// How long an instance may take nothing of a frame. It has lost count of the bytes by then (§1.4, mid-frame stall).
const STALL: Duration = Duration::from_secs(5);
/// How much is handed to the encryption at once.
const CHUNK: usize = 256 * 1024;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// What an instance sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A message.
    Binary(Bytes),
    /// A message that no Kong protocol has.
    Text(Bytes),
    /// `PING` with its payload.
    Ping(Bytes),
    /// `PONG`.
    Pong,
    /// It closes.
    Close,
}

/// The WebSocket of one connection.
#[derive(Debug)]
pub struct WebSocket<Stream> {
    stream: Stream,
    incoming: BytesMut,
}

impl<Stream: AsyncRead + AsyncWrite + Unpin> WebSocket<Stream> {
    /// Over an upgraded connection, and what came on it already.
    pub fn new(stream: Stream, rest: &[u8]) -> Self {
        Self {
            stream,
            incoming: BytesMut::from(rest),
        }
    }

    /// The next message. Nothing is lost if the caller stops waiting for it.
    pub async fn receive(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = take_frame(&mut self.incoming)? {
                if self.incoming.is_empty() {
                    // An idle connection holds no buffer.
                    self.incoming = BytesMut::new();
                }
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Sends a frame, its head included.
    pub async fn send_frame(&mut self, frame: &[u8]) -> io::Result<()> {
        for chunk in frame.chunks(CHUNK) {
            in_time(self.stream.write_all(chunk)).await?;
        }
        in_time(self.stream.flush()).await
    }

    /// Sends a message of a few bytes and a large part that many share.
    pub async fn send_parts(&mut self, head: &[u8], body: &[u8]) -> io::Result<()> {
        let mut start = frame_head(BINARY, head.len() + body.len());
        start.extend_from_slice(head);
        in_time(self.stream.write_all(&start)).await?;
        self.send_frame(body).await
    }

    /// Answers a ping.
    pub async fn pong(&mut self, payload: &[u8]) -> io::Result<()> {
        self.send_frame(&framed(PONG, payload)).await
    }

    /// Asks for a sign of life. Kong's v1 takes no pings.
    pub async fn ping(&mut self) -> io::Result<()> {
        self.send_frame(&framed(PING, &[])).await
    }

    /// Says good-bye as Kong does, with an empty frame, and closes.
    pub async fn close(&mut self) -> io::Result<()> {
        self.send_frame(&framed(CLOSE, &[])).await?;
        in_time(self.stream.shutdown()).await
    }
}

/// The bytes before a message's payload of this length.
pub fn binary_head(length: usize) -> Vec<u8> {
    frame_head(BINARY, length)
}

fn framed(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame_head(opcode, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn frame_head(opcode: u8, length: usize) -> Vec<u8> {
    let mut head = vec![FINAL | opcode];
    match length {
        0..=125 => head.push(length as u8),
        126..=0xFFFF => {
            head.push(126);
            head.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            head.push(127);
            head.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    head
}

async fn in_time<Out>(step: impl Future<Output = io::Result<Out>>) -> io::Result<Out> {
    match tokio::time::timeout(STALL, step).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "a frame wasn't read for five seconds",
        )),
    }
}

/// Takes a complete frame off the front, if there is one.
fn take_frame(bytes: &mut BytesMut) -> io::Result<Option<Message>> {
    let Some((head, length, mask)) = frame_start(bytes)? else {
        return Ok(None);
    };
    let opcode = bytes[0] & 0x0F;
    if bytes.len() < head + length {
        bytes.reserve(head + length - bytes.len());
        return Ok(None);
    }
    bytes.advance(head);
    let mut payload = bytes.split_to(length);
    for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
    // Copied, because a slice would keep the whole buffer alive.
    let payload = Bytes::copy_from_slice(&payload);
    match opcode {
        TEXT => Ok(Some(Message::Text(payload))),
        BINARY => Ok(Some(Message::Binary(payload))),
        CLOSE => Ok(Some(Message::Close)),
        PING => Ok(Some(Message::Ping(payload))),
        PONG => Ok(Some(Message::Pong)),
        other => Err(invalid(&format!("opcode {other}"))),
    }
}

/// The lengths of a frame's head and payload, and its mask, once all of the head is there.
fn frame_start(bytes: &BytesMut) -> io::Result<Option<(usize, usize, [u8; 4])>> {
    let [first, second, ..] = bytes[..] else {
        return Ok(None);
    };
    if first & RESERVED != 0 || first & FINAL == 0 {
        return Err(invalid("a fragment or an extension that wasn't agreed to"));
    }
    if second & MASKED == 0 {
        return Err(invalid("a frame without a mask"));
    }
    let (size_end, length) = match second & 0x7F {
        126 => match bytes.get(2..4) {
            Some(size) => (4, u64::from(u16::from_be_bytes([size[0], size[1]]))),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10).map(<[u8; 8]>::try_from) {
            Some(Ok(size)) => (10, u64::from_be_bytes(size)),
            _ => return Ok(None),
        },
        short => (2, u64::from(short)),
    };
    if length > MESSAGE_LIMIT || (first & 0x08 != 0 && length > 125) {
        return Err(invalid(&format!("a message of {length} bytes")));
    }
    let Some(Ok(mask)) = bytes.get(size_end..size_end + 4).map(<[u8; 4]>::try_from) else {
        return Ok(None);
    };
    Ok(Some((size_end + 4, length as usize, mask)))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the instance sent {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8]) -> BytesMut {
        let mut head = frame_head(first, payload.len());
        head[0] = first;
        head[1] |= MASKED;
        head.extend_from_slice(&[1, 2, 3, 4]);
        head.extend(
            payload
                .iter()
                .zip([1, 2, 3, 4].iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        BytesMut::from(&head[..])
    }

    #[test]
    fn a_message_of_any_length_is_one_frame() {
        for (length, head) in [
            (0, 2),
            (125, 2),
            (126, 4),
            (65_535, 4),
            (65_536, 10),
            (16 << 20, 10),
        ] {
            assert_eq!(framed(BINARY, &vec![0; length]).len(), head + length);
            assert_eq!(
                binary_head(length)[0],
                FINAL | BINARY,
                "final, so never a fragment"
            );
        }
    }

    #[test]
    fn frames_are_taken_whole_however_they_arrive() {
        let whole = masked(FINAL | BINARY, &[7; 300]);
        for split in [1, 2, 3, 7, 8, 100] {
            let mut bytes = BytesMut::from(&whole[..split]);
            assert_eq!(take_frame(&mut bytes).unwrap(), None);
            bytes.extend_from_slice(&whole[split..]);
            let taken = take_frame(&mut bytes).unwrap();
            assert_eq!(taken, Some(Message::Binary(Bytes::from(vec![7; 300]))));
            assert!(bytes.is_empty());
        }
    }

    #[test]
    fn what_no_data_plane_sends_is_refused_before_it_is_stored() {
        let mut endless = masked(FINAL | BINARY, &[]);
        endless[1] = MASKED | 127;
        endless.extend_from_slice(&[0xFF; 8]);
        let mut bare = masked(FINAL | BINARY, &[]);
        bare[1] = 0;
        for mut bytes in [
            endless,
            bare,
            masked(BINARY, &[1]),
            masked(FINAL | 0x40 | BINARY, &[1]),
            masked(FINAL | 3, &[]),
        ] {
            assert!(take_frame(&mut bytes).is_err());
        }
    }
}
