//! Whatever bytes a decoder is given, it answers or refuses: it never panics and never runs out of stack.

use std::sync::Arc;

use bytes::Bytes;
use dataplane_sync::native::frames::{self, Applied, InstanceFrame};
use domain::codec::{Envelope, decode_changes, encode_changes};
use domain::declarative;
use domain::group::entity::Entity;
use domain::group::event::{DeletionCause, GroupEvent};
use domain::keyring::{DataKey, KeyNotLoaded, KeyState};
use domain::organization::OrganizationEvent;
use domain::system::SystemEvent;
use domain::{
    Actor, Boundary, Change, CommitId, DataKeys, Digest, EntityId, GroupId, KeyId, Kind, Position, Timestamp,
};
use proptest::prelude::*;
use serde_json::Value;
use uuid::Uuid;

/// What one append takes on every engine.
const RECORD_LIMIT: usize = 900 * 1024;

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_commit(bytes in prop::collection::vec(any::<u8>(), 0..2_000), codec in 0_u8..4) {
        decode(&Bytes::from([&[codec], bytes.as_slice()].concat()));
    }

    #[test]
    fn a_damaged_commit_is_refused(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = commit().to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        decode(&bytes.into());
    }

    #[test]
    fn a_truncated_commit_is_refused(length in any::<prop::sample::Index>()) {
        let whole = commit();
        let truncated = whole.slice(..length.index(whole.len()));
        prop_assert!(!decode(&truncated), "a commit without its end is none");
    }
}

proptest! {
    #[test]
    fn a_document_of_any_shape_is_a_declaration_or_refused(document in document()) {
        drop(declarative::parse(&document));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_frame(bytes in prop::collection::vec(any::<u8>(), 0..2_000), codec in 0_u8..3) {
        let bytes = [&[codec], bytes.as_slice()].concat();
        drop(frames::decode_instance(&bytes));
        drop(frames::decode_server(&bytes));
    }

    #[test]
    fn a_damaged_frame_is_refused(damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let ping = InstanceFrame::Ping { applied: Some(Applied { version: 7, digest: Digest([1; 32]) }) };
        let mut bytes = frames::encode(&ping);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        drop(frames::decode_instance(&bytes));
        drop(frames::decode_server(&bytes));
    }
}

#[test]
fn a_small_frame_that_unfolds_without_end_is_refused() {
    let nothing = vec![0; 64 << 20];
    let packed = zstd::bulk::compress(&nothing, 1).expect("zeros are compressible");
    let size = u32::try_from(nothing.len()).expect("the size fits");
    let bomb = [&[1], size.to_be_bytes().as_slice(), &packed].concat();
    assert!(frames::decode_instance(&bomb).is_err());
    let liar = [&[1], 100_u32.to_be_bytes().as_slice(), &packed].concat();
    assert!(frames::decode_instance(&liar).is_err());
}

/// Documents that look like decK files, so that the reading gets beyond the first line.
fn document() -> impl Strategy<Value = Value> {
    const NAMES: [&str; 16] = [
        "_format_version",
        "_info",
        "select_tags",
        "services",
        "routes",
        "plugins",
        "consumers",
        "upstreams",
        "targets",
        "certificates",
        "snis",
        "keyauth_credentials",
        "id",
        "name",
        "service",
        "tags",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop_oneof![Just("3.0".to_owned()), Just("1.1".to_owned()), ".{0,8}"].prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(&NAMES[..]), inner), 0..6).prop_map(|fields| {
                let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
                let version = ("_format_version".to_owned(), Value::from("3.0"));
                Value::Object(std::iter::once(version).chain(fields).collect())
            }),
        ]
    })
}

#[test]
fn a_commit_as_it_was_written_is_read() {
    assert!(decode(&commit()));
}

#[test]
fn nesting_without_end_is_refused() {
    for opening in [0x91_u8, 0x81, 0xdc, 0xc4] {
        for codec in [0, 1, 2] {
            let bytes = [vec![codec], vec![opening; 1_000_000]].concat();
            assert!(frames::decode_instance(&bytes).is_err());
            assert!(frames::decode_server(&bytes).is_err());
            assert!(!decode(&bytes.into()));
        }
    }
    let payload = vec![0x91_u8; 1_000_000];
    assert!(decode_changes::<GroupEvent>(&payload, false, boundary(), &OneKey).is_err());
}

/// Decodes a record as a reader would, and its payload as every family of events; whether the group's could be read.
fn decode(bytes: &Bytes) -> bool {
    let Ok(envelope) = Envelope::decode(bytes) else {
        return false;
    };
    let (payload, compressed) = (&envelope.payload, envelope.compressed);
    drop(decode_changes::<SystemEvent>(
        payload,
        compressed,
        envelope.boundary,
        &OneKey,
    ));
    drop(decode_changes::<OrganizationEvent>(
        payload,
        compressed,
        envelope.boundary,
        &OneKey,
    ));
    decode_changes::<GroupEvent>(payload, compressed, envelope.boundary, &OneKey).is_ok()
}

/// A commit of a group: an entity with a sealed field, one that is gone, a reason.
fn commit() -> Bytes {
    let consumer =
        r#"{"id":"00000000-0000-4000-8000-000000000001","username":"mobile-app","custom_id":"app-1"}"#;
    let consumer = Entity::from_canonical(kind("consumers"), id(1), consumer.into());
    let consumer = Arc::new(consumer.expect("the body is canonical"));
    let events = vec![
        GroupEvent::EntityCreated { entity: consumer },
        GroupEvent::EntityDeleted {
            kind: kind("services"),
            id: id(2),
            cause: DeletionCause::Cascade,
        },
    ];
    let change = Change {
        version: 7,
        at: Timestamp(1_700_000_000_000),
        clock: Timestamp(1_700_000_000_000),
        actor: Actor::System {
            part: "test".to_owned(),
        },
        reason: Some("because".to_owned()),
        request_id: Some(Uuid::from_u128(3)),
        source: None,
        idempotency: None,
        catalogue: 1,
        events,
    };
    let commit = CommitId(Uuid::from_u128(4));
    encode_changes(commit, boundary(), &[change], &OneKey, RECORD_LIMIT)
        .expect("the key is loaded")
        .record(0, Position(6), Digest([1; 32]), None)
}

fn boundary() -> Boundary {
    Boundary::Group(GroupId(Uuid::from_u128(5)))
}

fn kind(name: &str) -> Kind {
    Kind::named(name).expect("the catalogue has the kind")
}

fn id(number: u128) -> EntityId {
    EntityId(Uuid::from_u128(number))
}

/// A keyring whose every key is the same.
struct OneKey;

impl DataKeys for OneKey {
    fn data_key(&self, _: KeyId) -> Result<KeyState, KeyNotLoaded> {
        Ok(KeyState::Present(DataKey([7; 32])))
    }
}
