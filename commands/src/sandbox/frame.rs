//! What goes over the pipes: a length of four bytes, the least one first, and as many bytes of JSON.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest frame to the child, in bytes: a job's values and its schema, and their JSON's escapes.
pub(super) const LONGEST_JOB: usize = 8 << 20;
/// The longest frame from the child, in bytes. It may have been taken over, so this bounds what it makes its reader hold.
pub(super) const LONGEST_ANSWER: usize = 1 << 20;

/// A value as a frame.
pub(super) fn encode(value: &impl Serialize, longest: usize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, value)?;
    let length = frame.len() - 4;
    let stated = u32::try_from(length).ok().filter(|_| length <= longest);
    let stated = stated.ok_or_else(|| too_long(length, longest))?;
    frame[..4].copy_from_slice(&stated.to_le_bytes());
    Ok(frame)
}

/// The next frame's value; none at the end.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read, longest: usize) -> io::Result<Option<T>> {
    let mut stated = [0; 4];
    match from.read_exact(&mut stated) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut bytes = vec![0; checked(stated, longest)?];
    from.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Writes a value as a frame.
pub(super) fn write(to: &mut impl Write, value: &impl Serialize, longest: usize) -> io::Result<()> {
    to.write_all(&encode(value, longest)?)?;
    to.flush()
}

/// The next frame's value, waited for.
pub(super) async fn receive<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
    longest: usize,
) -> io::Result<T> {
    let mut stated = [0; 4];
    from.read_exact(&mut stated).await?;
    let mut bytes = vec![0; checked(stated, longest)?];
    from.read_exact(&mut bytes).await?;
    Ok(serde_json::from_slice(&bytes)?)
}

fn checked(stated: [u8; 4], longest: usize) -> io::Result<usize> {
    let length = usize::try_from(u32::from_le_bytes(stated)).unwrap_or(usize::MAX);
    match length <= longest {
        true => Ok(length),
        false => Err(too_long(length, longest)),
    }
}

fn too_long(length: usize, longest: usize) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a frame of {length} bytes; at most {longest} are taken"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back_and_the_end_is_none() {
        let frame = encode(&"a job", 100).unwrap();
        let mut bytes = frame.as_slice();
        assert_eq!(read::<String>(&mut bytes, 100).unwrap().as_deref(), Some("a job"));
        assert_eq!(read::<String>(&mut bytes, 100).unwrap(), None);
    }

    #[test]
    fn a_frame_that_is_too_long_is_neither_written_nor_read() {
        assert!(encode(&"a job", 3).is_err());
        let huge = u32::MAX.to_le_bytes();
        assert!(read::<String>(&mut huge.as_slice(), 100).is_err());
    }
}
