//! A message of the native protocol, read by each side; a session of an instance; and a server's frames as an instance takes them.
//!
//! What can be read is written and read as the same. An instance that acknowledges a configuration has it, and can be given it again.
#![no_main]

use dataplane_sync::agent::replica::Replica;
use dataplane_sync::native::frames::{
    Applied, Delta, EntityRecord, InstanceFrame, ServerFrame, decode_instance, decode_server, encode,
};
use dataplane_sync::native::parts::{Assembler, cut};
use dataplane_sync::native::session::{Output, Session};
use domain::{Digest, GroupId, Kind, SnapshotDigest, Timestamp};
use libfuzzer_sys::fuzz_target;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_767_225_600_000);
const NEWEST: Applied = Applied {
    version: 7,
    digest: Digest([7; 32]),
};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 4 {
        0 => read_alone(rest),
        1 => instance_speaks(rest),
        // A server whose digests are right, whatever it says …
        2 => server_speaks(rest, true),
        // … and one whose are what it says.
        _ => server_speaks(rest, false),
    }
});

fn read_alone(bytes: &[u8]) {
    if let Ok(frame) = decode_instance(bytes) {
        assert_eq!(decode_instance(&encode(&frame)).as_ref(), Ok(&frame));
    }
    if let Ok(frame) = decode_server(bytes) {
        let mut assembler = Assembler::default();
        let is_part = matches!(frame, ServerFrame::Part { .. });
        let mut whole = None;
        for message in cut(encode(&frame)) {
            let piece = decode_server(&message).expect("a message that was cut can be read");
            whole = assembler.take(piece).unwrap_or_default();
        }
        assert!(
            is_part || whole == Some(frame),
            "a message is what its parts make"
        );
    }
}

fn instance_speaks(bytes: &[u8]) {
    let (log, group) = (Uuid::from_u128(1), GroupId(Uuid::from_u128(2)));
    let mut session = Session::new(log, group, 3, NEWEST, NOW);
    let mut now = NOW;
    let mut sent: Option<Applied> = None;
    for message in messages(bytes) {
        let Ok(mut frame) = decode_instance(message) else {
            return;
        };
        // Some acknowledge what they were sent, whatever that was.
        let mut acknowledged = None;
        if let InstanceFrame::Ack(applied) = &mut frame
            && applied.version % 2 == 0
        {
            *applied = sent.unwrap_or(NEWEST);
            acknowledged = sent;
        }
        now = Timestamp(now.0 + 700);
        for output in session.frame(frame, now) {
            match output {
                Output::Close(_) => return,
                Output::Send(frame) => assert_eq!(decode_server(&encode(&frame)), Ok(frame)),
                Output::Report(_) => {}
            }
        }
        if let Some(base) = session.wants_update() {
            assert!(
                acknowledged.is_none() || base == acknowledged,
                "the next step builds on what was acknowledged"
            );
            // Every other step leads to what isn't the newest any more.
            let step = Applied {
                version: NEWEST.version - 1,
                digest: Digest([6; 32]),
            };
            let leads_to = match sent {
                Some(before) if before == step => NEWEST,
                _ => step,
            };
            session.sent(leads_to, base.is_none());
            sent = Some(leads_to);
        }
        drop(session.tick(now));
    }
}

fn server_speaks(bytes: &[u8], mended: bool) {
    let (mut assembler, mut replica) = (Assembler::default(), Replica::default());
    for message in messages(bytes) {
        let Ok(Some(mut frame)) = decode_server(message).and_then(|frame| assembler.take(frame)) else {
            continue;
        };
        if mended {
            mend(&mut frame, &replica);
        }
        let before = replica.applied();
        match replica.answer(&frame) {
            Some(InstanceFrame::Ack(applied)) => check_acknowledged(&replica, applied),
            Some(InstanceFrame::Nack { .. }) => {
                assert_eq!(replica.applied(), before, "what was before stays")
            }
            Some(InstanceFrame::Refetch { .. }) => assert!(
                replica.applied().is_none() || replica.applied() == before,
                "nothing unverified is in use"
            ),
            Some(_) | None => assert_eq!(replica.applied(), before),
        }
    }
}

fn check_acknowledged(replica: &Replica, applied: Applied) {
    assert_eq!(replica.applied(), Some(applied));
    let snapshot = replica.snapshot().expect("what is applied can be written down");
    let mut restarted = Replica::default();
    assert_eq!(
        restarted.replace(&snapshot),
        Ok(applied),
        "what was written down can be read again"
    );
    assert_eq!(restarted.len(), replica.len());
}

/// Gives a frame the digest and the base that an honest server would give it.
fn mend(frame: &mut ServerFrame, replica: &Replica) {
    match frame {
        ServerFrame::Snapshot(snapshot) => {
            snapshot.digest = digest(&Replica::default(), &snapshot.entities, |_, _| false);
        }
        ServerFrame::Delta(delta) => {
            if let Some(applied) = replica.applied() {
                delta.from = applied.version;
            }
            let Delta { upserts, deletes, .. } = &*delta;
            let gone = |kind: &str, id| deletes.iter().any(|key| &*key.kind == kind && key.id == id);
            delta.digest = digest(replica, upserts, gone);
        }
        _ => {}
    }
}

fn digest(before: &Replica, put: &[EntityRecord], gone: impl Fn(&str, domain::EntityId) -> bool) -> Digest {
    let mut digest = SnapshotDigest::default();
    for (kind, id, body) in before.entities() {
        digest.put(kind, id, body);
    }
    for record in put {
        if let Some(kind) = Kind::named(&record.kind) {
            digest.put(kind, record.id, &record.body);
        }
    }
    let here = before.entities().map(|(kind, id, _)| (kind, id));
    let named = put
        .iter()
        .filter_map(|record| Some((Kind::named(&record.kind)?, record.id)));
    for (kind, id) in here.chain(named) {
        if gone(kind.name(), id) {
            digest.remove(kind, id);
        }
    }
    digest.digest()
}

/// Messages with a length of two bytes before each.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (message, after) = rest.split_at(length);
        bytes = after;
        Some(message)
    })
}
