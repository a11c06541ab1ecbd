//! What every message of wRPC is wrapped in: who calls what, and which call is answered.

use bytes::Bytes;

pub use super::protobuf::NotAMessage;
use super::protobuf::{Fields, Writer};
use crate::kong::frame::Frame;

/// The envelope's version.
const VERSION: u64 = 1;
const ERROR: u32 = 1;
const RPC: u32 = 2;
/// The encoding of what is called with: protobuf, version 3.
const PROTO3: u64 = 1;

/// Why a call isn't answered as it was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something else.
    Generic,
    /// There is no such service.
    InvalidService,
    /// The service has no such procedure.
    InvalidRpc,
}

/// A message in its envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The service called, or whose call is answered.
    pub service: u32,
    /// Its procedure.
    pub rpc: u32,
    /// The sender's number of this message.
    pub sequence: u32,
    /// The number of the message that this one answers; 0 where it is a request.
    pub ack: u32,
    /// Until when a request is worth answering, in seconds since the Unix epoch; 0 in an answer.
    pub deadline: u32,
    /// What it says.
    pub content: Content<'a>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// A procedure's argument or its result.
    Rpc(&'a [u8]),
    /// A call failed.
    Error(String),
}

impl<'a> Envelope<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// [`NotAMessage`] says what doesn't fit.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, NotAMessage> {
        let mut payload = None;
        for field in Fields::of(bytes) {
            if let (2, value) = field? {
                payload = Some(value.bytes()?);
            }
        }
        Self::of_payload(payload.ok_or_else(|| NotAMessage("it has no payload".to_owned()))?)
    }

    fn of_payload(payload: &'a [u8]) -> Result<Self, NotAMessage> {
        let mut envelope = Self {
            service: 0,
            rpc: 0,
            sequence: 0,
            ack: 0,
            deadline: 0,
            content: Content::Rpc(&[]),
        };
        let (mut kind, mut error, mut argument) = (0, String::new(), [].as_slice());
        for field in Fields::of(payload) {
            match field? {
                (1, value) => kind = value.number()?,
                (2, value) => error = description(value.bytes()?)?,
                (3, value) => envelope.service = value.number()?,
                (4, value) => envelope.rpc = value.number()?,
                (5, value) => envelope.sequence = value.number()?,
                (6, value) => envelope.ack = value.number()?,
                (7, value) => envelope.deadline = value.number()?,
                (9, value) => argument = value.bytes()?,
                _ => (),
            }
        }
        envelope.content = match kind {
            RPC => Content::Rpc(argument),
            ERROR => Content::Error(error),
            other => return Err(NotAMessage(format!("message type {other} is unknown"))),
        };
        Ok(envelope)
    }
}

fn description(error: &[u8]) -> Result<String, NotAMessage> {
    let mut description = String::new();
    for field in Fields::of(error) {
        if let (2, value) = field? {
            description = value.text()?;
        }
    }
    Ok(description)
}

/// Which call a message is, or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The service.
    pub service: u32,
    /// Its procedure.
    pub rpc: u32,
    /// The sender's number of this message.
    pub sequence: u32,
    /// The number of the message that this one answers; 0 where it is a request.
    pub ack: u32,
    /// Until when a request is worth answering, in seconds since the Unix epoch; 0 in an answer.
    pub deadline: u32,
}

impl Call {
    /// Wraps an argument or result, whose last bytes are shared with other connections.
    pub fn enclose(self, own: &[u8], shared: Bytes) -> Frame {
        let call = self.opened(RPC).number(8, PROTO3);
        // Written where it is empty too: Kong tells an empty message from none.
        let payload = call.opened(9, own.len() + shared.len()).finish();
        let length = payload.len() + own.len() + shared.len();
        let mut head = Writer::default().number(1, VERSION).opened(2, length).finish();
        head.extend_from_slice(&payload);
        head.extend_from_slice(own);
        Frame { head, body: shared }
    }

    /// Wraps the reason why a call failed.
    pub fn refuse(self, kind: ErrorKind, description: &str) -> Frame {
        let error = Writer::default()
            .number(1, 1 + kind as u64)
            .bytes(2, description.as_bytes())
            .finish();
        let payload = self.opened(ERROR).bytes(2, &error).finish();
        Frame::from(Writer::default().number(1, VERSION).bytes(2, &payload).finish())
    }

    fn opened(self, kind: u32) -> Writer {
        let mut payload = Writer::default().number(1, u64::from(kind));
        let numbers = [
            (3, self.service),
            (4, self.rpc),
            (5, self.sequence),
            (6, self.ack),
            (7, self.deadline),
        ];
        for (field, number) in numbers {
            if number != 0 {
                payload = payload.number(field, u64::from(number));
            }
        }
        payload
    }
}
