//! The wire format of protocol buffers, as far as wRPC's few small messages need it.

/// Bytes that are no protobuf message of the expected shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no message of wRPC: {0}")]
pub struct NotAMessage(pub(super) String);

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The number, where it is one that fits.
    pub(super) fn number(self) -> Result<u32, NotAMessage> {
        match self {
            Self::Number(number) => {
                u32::try_from(number).map_err(|_| NotAMessage(format!("the number {number} is out of range")))
            }
            Self::Bytes(_) => Err(NotAMessage("bytes stand where a number should".to_owned())),
        }
    }

    /// The bytes, where it is bytes.
    pub(super) fn bytes(self) -> Result<&'a [u8], NotAMessage> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(NotAMessage("a number stands where bytes should".to_owned())),
        }
    }

    /// The text, where it is text.
    pub(super) fn text(self) -> Result<String, NotAMessage> {
        let text = std::str::from_utf8(self.bytes()?);
        text.map(str::to_owned)
            .map_err(|_| NotAMessage("a text isn't UTF-8".to_owned()))
    }
}

/// A message's fields in order; fields of fixed width, which wRPC doesn't use, are passed over.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn varint(&mut self) -> Result<u64, NotAMessage> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or_else(ends_early)?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(NotAMessage("a number has no end".to_owned()))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], NotAMessage> {
        let length = usize::try_from(length).map_err(|_| ends_early())?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(ends_early)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<Option<(u64, Value<'a>)>, NotAMessage> {
        while !self.0.is_empty() {
            let key = self.varint()?;
            let value = match key & 7 {
                0 => Value::Number(self.varint()?),
                2 => {
                    let length = self.varint()?;
                    Value::Bytes(self.take(length)?)
                }
                1 => {
                    self.take(8)?;
                    continue;
                }
                5 => {
                    self.take(4)?;
                    continue;
                }
                other => return Err(NotAMessage(format!("wire type {other} is unknown"))),
            };
            return Ok(Some((key >> 3, value)));
        }
        Ok(None)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), NotAMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        field.transpose()
    }
}

fn ends_early() -> NotAMessage {
    NotAMessage("it ends early".to_owned())
}

/// Writes a message, field by field.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn number(mut self, field: u64, number: u64) -> Self {
        self.varint(field << 3);
        self.varint(number);
        self
    }

    pub(super) fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self = self.opened(field, bytes.len());
        self.0.extend_from_slice(bytes);
        self
    }

    /// A field whose bytes follow: nothing else of this message may.
    pub(super) fn opened(mut self, field: u64, length: usize) -> Self {
        self.varint(field << 3 | 2);
        self.varint(length as u64);
        self
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}
