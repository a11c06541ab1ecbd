//! A text that may repeat what is secret in a group, sealed with the group's data key wherever it rests: what an instance says of a
//! configuration. It goes with the group's keys.

use crate::codec::DecodeError;
use crate::group::event::ERASED;
use crate::keyring::{KeyNotLoaded, KeyState, open, seal};
use crate::{Boundary, DataKeys, GroupId, KeyId};

/// The key that such texts of a group are sealed with.
pub const fn key_of(group: GroupId) -> KeyId {
    KeyId {
        boundary: Boundary::Group(group),
        owner: None,
    }
}

/// Seals a text; `place` says where it stands: it opens there only. Empty once the key is destroyed.
pub fn seal_text(
    group: GroupId,
    place: &str,
    text: &str,
    keys: &dyn DataKeys,
) -> Result<Vec<u8>, KeyNotLoaded> {
    Ok(match keys.data_key(key_of(group))? {
        KeyState::Present(key) => seal(&key, place.as_bytes(), text.as_bytes()),
        KeyState::Destroyed => Vec::new(),
    })
}

/// Opens what [`seal_text`] made for the same place; [`ERASED`] once the key is destroyed.
pub fn open_text(
    group: GroupId,
    place: &str,
    sealed: &[u8],
    keys: &dyn DataKeys,
) -> Result<String, DecodeError> {
    let KeyState::Present(key) = keys.data_key(key_of(group))? else {
        return Ok(ERASED.to_owned());
    };
    let boundary = Boundary::Group(group);
    let text = open(&key, place.as_bytes(), sealed).ok_or(DecodeError::DoesNotOpen { boundary })?;
    String::from_utf8(text).map_err(|error| DecodeError::malformed("a sealed text", error))
}
