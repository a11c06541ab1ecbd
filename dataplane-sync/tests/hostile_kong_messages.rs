//! Whatever bytes a session of Kong's protocols is given, it answers or ends: it never panics, and never believes a
//! claimed size.

use bytes::Bytes;
use dataplane_sync::kong::rpc::hello::Hello;
use dataplane_sync::kong::rpc::version::{Lineage, SyncVersion};
use dataplane_sync::kong::rpc::{self, json_rpc, snappy};
use dataplane_sync::kong::websocket::Message;
use dataplane_sync::kong::wrpc;
use dataplane_sync::kong::wrpc::envelope::{Call, Envelope};
use dataplane_sync::kong::wrpc::messages::{Negotiation, decode_metadata, decode_ping};
use domain::{Digest, GroupId, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_795_277_548_000);

/// JSON that looks like a call in places.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
        Just(Value::from("2.0")),
        Just(Value::from("kong.sync.v2.get_delta")),
        Just(Value::from("kong.sync.v2.notify_validation_error")),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let keys = prop_oneof![
            "jsonrpc", "id", "method", "params", "result", "error", "default", "version"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((keys, inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn hello() -> Vec<u8> {
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "kong.meta.v1.hello", "params": [{
        "rpc_capabilities": [rpc::SYNC], "rpc_frame_encodings": ["x-snappy-framed"], "kong_version": "3.10.0",
        "kong_hostname": "edge-1", "kong_node_id": "1", "kong_conf": {},
    }]});
    hello.to_string().into_bytes()
}

fn admitted() -> rpc::session::Session {
    let mut session = rpc::session::Session::new(NOW);
    session.frame(&hello(), NOW);
    let newest = Lineage::of(Uuid::nil(), GroupId(Uuid::nil()), "").at(1, Digest([0; 32]));
    session.admitted(Some(newest), 1 << 24);
    session
}

fn wrpc_session() -> wrpc::session::Session {
    wrpc::session::Session::new(1 << 22, 1_000, NOW)
}

fn damaged(mut bytes: Vec<u8>, damage: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    for (place, byte) in damage {
        let place = place.index(bytes.len());
        bytes[place] = *byte;
    }
    bytes
}

fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        drop(Envelope::decode(&bytes));
        drop(Negotiation::decode(&bytes));
        drop(decode_metadata(&bytes));
        drop(decode_ping(&bytes));
        drop(json_rpc::decode(&bytes));
        drop(Hello::decode(&bytes));
        drop(snappy::decompress(&bytes));
        wrpc_session().message(Message::Binary(bytes.clone().into()), NOW);
        rpc::session::Session::new(NOW).frame(&bytes, NOW);
        admitted().frame(&bytes, NOW);
    }

    #[test]
    fn any_call_is_answered_or_passed_over(
        service in 0_u32..8, rpc in 0_u32..6, sequence: u32, ack in 0_u32..2,
        argument in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let call = Call { service, rpc, sequence, ack, deadline: 0 };
        let message = call.enclose(&argument, Bytes::new()).joined();
        let envelope = Envelope::decode(&message).unwrap();
        prop_assert_eq!((envelope.service, envelope.rpc, envelope.sequence), (service, rpc, sequence));
        wrpc_session().message(Message::Binary(message.clone().into()), NOW);
    }

    #[test]
    fn a_damaged_call_is_read_or_refused(damage in damage()) {
        let call = Call { service: 1, rpc: 4, sequence: 7, ack: 0, deadline: 9 };
        let message = call.enclose(b"\x0a\x0f\x0a\x08key-auth\x12\x033.1", Bytes::new()).joined();
        wrpc_session().message(Message::Binary(damaged(message, &damage).into()), NOW);
    }

    #[test]
    fn any_json_is_answered_or_passed_over(value in values(), damage in damage()) {
        let text = value.to_string();
        rpc::session::Session::new(NOW).frame(text.as_bytes(), NOW);
        let message = snappy::own_message(&text).joined();
        admitted().frame(&message, NOW);
        admitted().frame(&damaged(message, &damage), NOW);
        rpc::session::Session::new(NOW).frame(&damaged(hello(), &damage), NOW);
    }

    #[test]
    fn any_text_is_a_version_or_none(text in "\\PC{0,40}", digits in "v02_[0-9a-f]{26,30}") {
        for text in [text, digits] {
            if let Some(version) = SyncVersion::parse(&text) {
                prop_assert_eq!(version.to_string(), text);
            }
        }
    }
}

#[test]
fn nesting_without_end_is_refused() {
    for text in ["[".repeat(500_000), "{\"a\":".repeat(100_000)] {
        assert!(Hello::decode(text.as_bytes()).is_err());
        admitted().frame(&snappy::own_message(&text).joined(), NOW);
    }
}
