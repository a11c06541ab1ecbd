//! A record of the log, read as each family of events.
#![no_main]

use bytes::Bytes;
use domain::codec::{Envelope, decode_changes};
use domain::group::event::GroupEvent;
use domain::keyring::{DataKey, KeyNotLoaded, KeyState};
use domain::organization::OrganizationEvent;
use domain::system::SystemEvent;
use domain::{DataKeys, KeyId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(envelope) = Envelope::decode(&Bytes::copy_from_slice(bytes)) else {
        return;
    };
    let Envelope {
        boundary,
        compressed,
        payload,
        ..
    } = envelope;
    drop(decode_changes::<SystemEvent>(
        &payload, compressed, boundary, &OneKey,
    ));
    drop(decode_changes::<OrganizationEvent>(
        &payload, compressed, boundary, &OneKey,
    ));
    drop(decode_changes::<GroupEvent>(
        &payload, compressed, boundary, &OneKey,
    ));
});

/// A keyring whose every key is the same.
struct OneKey;

impl DataKeys for OneKey {
    fn data_key(&self, _: KeyId) -> Result<KeyState, KeyNotLoaded> {
        Ok(KeyState::Present(DataKey([7; 32])))
    }
}
