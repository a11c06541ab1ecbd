//! A record of the log, and the body of one event, read as each family of events.
//!
//! What can be read is written and read as the same.
#![no_main]

use std::fmt::Debug;

use bytes::Bytes;
use domain::codec::{Envelope, EventCodec, EventRecord, decode_changes, encode_changes};
use domain::group::event::GroupEvent;
use domain::keyring::{DataKey, KeyNotLoaded, KeyState};
use domain::organization::OrganizationEvent;
use domain::system::SystemEvent;
use domain::{Boundary, Change, CommitId, DataKeys, Digest, GroupId, KeyId, OrganizationId, Position};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const ONE: Uuid = Uuid::from_u128(0x1111_1111_1111_4111_8111_1111_1111_1111);
/// The largest record, in bytes.
const RECORD: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    if choice % 2 == 0 {
        record(rest);
    } else if let Ok(event) = rmp_serde::from_slice::<EventRecord>(rest) {
        let organization = Boundary::Organization(OrganizationId(ONE));
        check_event::<GroupEvent>(&event, Boundary::Group(GroupId(ONE)));
        check_event::<OrganizationEvent>(&event, organization);
        check_event::<SystemEvent>(&event, Boundary::System);
    }
});

fn record(bytes: &[u8]) {
    let Ok(envelope) = Envelope::decode(&Bytes::copy_from_slice(bytes)) else {
        return;
    };
    assert_eq!(Envelope::decode(&envelope.encode()).as_ref(), Ok(&envelope));
    let Envelope {
        boundary,
        compressed,
        payload,
        ..
    } = envelope;
    check_changes(
        decode_changes::<SystemEvent>(&payload, compressed, boundary, &OneKey),
        boundary,
    );
    check_changes(
        decode_changes::<OrganizationEvent>(&payload, compressed, boundary, &OneKey),
        boundary,
    );
    check_changes(
        decode_changes::<GroupEvent>(&payload, compressed, boundary, &OneKey),
        boundary,
    );
}

fn check_changes<E>(read: Result<Vec<Change<E>>, impl Debug>, boundary: Boundary)
where
    E: EventCodec + Clone + Debug + PartialEq,
{
    let Ok(changes) = read else {
        return;
    };
    let encoded =
        encode_changes(CommitId(ONE), boundary, &changes, &OneKey, RECORD).expect("every key is known");
    if encoded.parts() == 1 {
        let record = encoded.record(0, Position::START, Digest::ZERO, None);
        let envelope = Envelope::decode(&record).expect("what is written can be read");
        let again = decode_changes(&envelope.payload, envelope.compressed, boundary, &OneKey);
        assert_eq!(again, Ok(changes));
    }
}

fn check_event<E: EventCodec + Debug + PartialEq>(record: &EventRecord, boundary: Boundary) {
    if let Ok(event) = E::decode(record, boundary, &OneKey) {
        let written = event.encode(boundary, &OneKey).expect("every key is known");
        assert_eq!(E::decode(&written, boundary, &OneKey), Ok(event));
    }
}

/// A keyring whose every key is the same.
struct OneKey;

impl DataKeys for OneKey {
    fn data_key(&self, _: KeyId) -> Result<KeyState, KeyNotLoaded> {
        Ok(KeyState::Present(DataKey([7; 32])))
    }
}
