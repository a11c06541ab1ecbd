//! WebSocket frames as Kong's Lua client sends and takes them. It isn't a WebSocket library: whatever that client would mind is an error.

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// What a frame is, from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Goes on with the frame before; the client doesn't put them together.
    Continuation,
    /// Text.
    Text,
    /// Binary.
    Binary,
    /// The end, said.
    Close,
    /// A question whether somebody is there.
    Ping,
    /// The answer to it.
    Pong,
    /// None that there is.
    Reserved(u8),
}

impl Opcode {
    const fn read(bits: u8) -> Self {
        match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => Self::Reserved(other),
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
            Self::Reserved(bits) => bits,
        }
    }
}

/// A frame that came whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub opcode: Opcode,
    /// Its payload.
    pub payload: Bytes,
}

/// Why no frame came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Nothing came within the read timeout; the client asks again.
    Timeout,
    /// Something came and then nothing: the client takes this for a [`FrameError::Timeout`] too, and reads on in the middle of a frame.
    Stalled,
    /// The frame isn't final: `again`, for which the data plane closes the connection.
    Again,
    /// Anything else that the client gives up over.
    Fatal(String),
}

impl FrameError {
    /// As the data plane's log has it.
    pub fn text(&self) -> String {
        match self {
            Self::Timeout | Self::Stalled => "timeout".to_owned(),
            Self::Again => "again".to_owned(),
            Self::Fatal(reason) => reason.clone(),
        }
    }
}

/// The first bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether it is the message's last.
    pub last: bool,
    /// What it is.
    pub opcode: Opcode,
    /// The payload's length in bytes.
    pub length: u64,
}

/// The limits of a client.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `cluster_max_payload`, in bytes.
    pub max_payload: u64,
    /// The socket's timeout: for each read.
    pub read: Duration,
}

/// Reads the header of the next frame.
pub async fn read_header<Stream: AsyncRead + Unpin>(
    stream: &mut Stream,
    limits: Limits,
) -> Result<Header, FrameError> {
    let mut first = [0; 2];
    match timeout(limits.read, stream.read(&mut first[..1])).await {
        Err(_) => return Err(FrameError::Timeout),
        Ok(Ok(0)) => return Err(fatal("failed to receive the first 2 bytes: closed")),
        Ok(Ok(_)) => {}
        Ok(Err(error)) => return Err(fatal(&format!("failed to receive the first 2 bytes: {error}"))),
    }
    read_exactly(stream, &mut first[1..], limits).await?;
    if first[0] & 0x70 != 0 {
        return Err(fatal("bad RSV1, RSV2, or RSV3 bits"));
    }
    let opcode = Opcode::read(first[0] & 0x0f);
    if let Opcode::Reserved(_) = opcode {
        return Err(fatal("reserved frame opcode"));
    }
    if first[1] & 0x80 != 0 {
        return Err(fatal("a masked frame from the server"));
    }
    let length = match first[1] {
        126 => {
            let mut length = [0; 2];
            read_exactly(stream, &mut length, limits).await?;
            u64::from(u16::from_be_bytes(length))
        }
        127 => {
            let mut length = [0; 8];
            read_exactly(stream, &mut length, limits).await?;
            u64::from_be_bytes(length)
        }
        short => u64::from(short),
    };
    if length >= 1 << 31 {
        return Err(fatal("payload len too large"));
    }
    if length > limits.max_payload {
        return Err(fatal("exceeding max payload len"));
    }
    Ok(Header {
        last: first[0] & 0x80 != 0,
        opcode,
        length,
    })
}

/// Reads the next frame.
pub async fn read<Stream: AsyncRead + Unpin>(
    stream: &mut Stream,
    limits: Limits,
) -> Result<Frame, FrameError> {
    let header = read_header(stream, limits).await?;
    let mut payload = vec![0; usize::try_from(header.length).expect("below 2 GiB")];
    read_exactly(stream, &mut payload, limits).await?;
    if !header.last || header.opcode == Opcode::Continuation {
        return Err(FrameError::Again);
    }
    Ok(Frame {
        opcode: header.opcode,
        payload: payload.into(),
    })
}

/// Fills `buffer`; what came before a stall is lost to the next read, as it is to the client.
pub async fn read_exactly<Stream: AsyncRead + Unpin>(
    stream: &mut Stream,
    mut buffer: &mut [u8],
    limits: Limits,
) -> Result<(), FrameError> {
    while !buffer.is_empty() {
        match timeout(limits.read, stream.read(buffer)).await {
            Err(_) => return Err(FrameError::Stalled),
            Ok(Ok(0)) => return Err(fatal("failed to read the payload: closed")),
            Ok(Ok(count)) => buffer = &mut buffer[count..],
            Ok(Err(error)) => return Err(fatal(&format!("failed to read the payload: {error}"))),
        }
    }
    Ok(())
}

/// Writes one masked frame that holds the whole message.
pub async fn write<Stream: AsyncWrite + Unpin>(
    stream: &mut Stream,
    opcode: Opcode,
    payload: &[u8],
) -> std::io::Result<()> {
    // Any mask will do; nobody between the two can be confused inside TLS.
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![0x80 | opcode.bits()];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap_or_default()),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).unwrap_or_default().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    stream.write_all(&frame).await?;
    stream.flush().await
}

fn fatal(reason: &str) -> FrameError {
    FrameError::Fatal(reason.to_owned())
}
