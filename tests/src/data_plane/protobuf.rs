//! As much of protobuf as wRPC's messages need: numbers and bytes.

/// A message that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    pub(super) fn number(mut self, field: u32, value: u64) -> Self {
        // The default isn't written.
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
        self
    }

    pub(super) fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A field of a message that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

/// The fields of a message in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(Vec<(u32, Value)>);

impl Fields {
    /// Reads a message.
    pub(super) fn read(mut bytes: &[u8]) -> Result<Self, String> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let value = match key & 7 {
                0 => Value::Number(varint(&mut bytes)?),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).map_err(|error| error.to_string())?;
                    let (value, rest) = bytes
                        .split_at_checked(length)
                        .ok_or("a field is longer than its message")?;
                    bytes = rest;
                    Value::Bytes(value.to_vec())
                }
                wire => return Err(format!("wire type {wire} isn't used in wRPC")),
            };
            fields.push((u32::try_from(key >> 3).map_err(|error| error.to_string())?, value));
        }
        Ok(Self(fields))
    }

    /// A number; 0 when it is absent.
    pub(super) fn number(&self, field: u32) -> u64 {
        let last = self.0.iter().rev().find(|(number, _)| *number == field);
        match last {
            Some((_, Value::Number(number))) => *number,
            _ => 0,
        }
    }

    /// Bytes, or a message within.
    pub(super) fn bytes(&self, field: u32) -> Option<&[u8]> {
        let last = self.0.iter().rev().find(|(number, _)| *number == field);
        match last {
            Some((_, Value::Bytes(bytes))) => Some(bytes),
            _ => None,
        }
    }

    /// Text; empty when it is absent.
    pub(super) fn text(&self, field: u32) -> String {
        String::from_utf8_lossy(self.bytes(field).unwrap_or_default()).into_owned()
    }

    /// A message within; without fields when it is absent.
    pub(super) fn message(&self, field: u32) -> Result<Self, String> {
        Self::read(self.bytes(field).unwrap_or_default())
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or("a number has no end")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number is longer than 64 bits".to_owned())
}
