//! One frame of each sort, for golden files and hostile bytes.

use std::collections::BTreeMap;

use dataplane_sync::native::frames::{
    Applied, Delta, EntityKey, EntityRecord, Hello, InstanceFrame, ServerFrame, Snapshot, encode_plain,
};
use domain::{Digest, EntityId, GroupId, NodeId, Timestamp};
use uuid::Uuid;

/// What an instance says, by name.
pub(crate) fn of_instances() -> Vec<(&'static str, InstanceFrame)> {
    let hello = Hello {
        protocol: 1,
        node: NodeId(Uuid::from_u128(1)),
        hostname: "edge-1.example".to_owned(),
        version: "0.1.0".to_owned(),
        labels: BTreeMap::from([("zone".to_owned(), "west".to_owned())]),
        log: Some(Uuid::from_u128(2)),
        group: Some(GroupId(Uuid::from_u128(3))),
        applied: Some(applied()),
    };
    let nack = InstanceFrame::Nack {
        version: 8,
        digest: Digest([8; 32]),
        reason: "no such plugin".to_owned(),
    };
    let refetch = InstanceFrame::Refetch {
        reason: "the digest differs".to_owned(),
    };
    let ping = InstanceFrame::Ping {
        applied: Some(applied()),
    };
    vec![
        ("hello", InstanceFrame::Hello(hello)),
        ("ack", InstanceFrame::Ack(applied())),
        ("nack", nack),
        ("refetch", refetch),
        ("ping", ping),
    ]
}

/// What the control plane says, by name.
pub(crate) fn of_the_control_plane() -> Vec<(&'static str, ServerFrame)> {
    let welcome = ServerFrame::Welcome {
        log: Uuid::from_u128(2),
        group: GroupId(Uuid::from_u128(3)),
        session: 77,
        heartbeat: 15,
    };
    let snapshot = Snapshot {
        version: 7,
        at: Timestamp(1_700_000_000_000),
        digest: Digest([7; 32]),
        entities: vec![record()],
    };
    let delta = Delta {
        from: 7,
        to: 9,
        at: Timestamp(1_700_000_000_001),
        digest: Digest([9; 32]),
        upserts: vec![record()],
        deletes: vec![EntityKey {
            kind: "routes".into(),
            id: EntityId(Uuid::from_u128(5)),
        }],
    };
    let part = ServerFrame::Part {
        number: 0,
        of: 2,
        data: vec![1, 2, 3],
    };
    let going_away = ServerFrame::GoingAway {
        reason: "the control plane is shutting down".to_owned(),
        retry_after: 1_234,
    };
    vec![
        ("welcome", welcome),
        ("snapshot", ServerFrame::Snapshot(snapshot)),
        ("delta", ServerFrame::Delta(delta)),
        ("part", part),
        ("pong", ServerFrame::Pong {}),
        ("going_away", going_away),
    ]
}

/// Every frame, encoded.
pub(crate) fn all() -> Vec<(&'static str, Vec<u8>)> {
    let instances = of_instances()
        .into_iter()
        .map(|(name, frame)| (name, encode_plain(&frame)));
    let control_plane = of_the_control_plane()
        .into_iter()
        .map(|(name, frame)| (name, encode_plain(&frame)));
    instances.chain(control_plane).collect()
}

fn applied() -> Applied {
    Applied {
        version: 7,
        digest: Digest([7; 32]),
    }
}

fn record() -> EntityRecord {
    EntityRecord {
        kind: "services".into(),
        id: EntityId(Uuid::from_u128(4)),
        body: r#"{"id":"00000000-0000-0000-0000-000000000004","name":"orders"}"#.into(),
    }
}
