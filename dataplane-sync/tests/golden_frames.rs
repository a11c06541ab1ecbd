//! Frames as releases have written them, in `golden/`, are understood for ever. A file is written once, when its frame
//! is new, with `WRITE_GOLDEN=1 cargo test -p dataplane-sync --test golden_frames`, and never changed after a release.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::PathBuf;

use dataplane_sync::native::frames::{decode_instance, decode_server, encode, encode_plain};

#[path = "shared/sample_frames.rs"]
mod sample_frames;

#[test]
fn every_golden_frame_of_an_instance_reads_as_what_it_was() {
    for (name, frame) in sample_frames::of_instances() {
        assert_eq!(
            decode_instance(&golden(name, &encode_plain(&frame))).unwrap(),
            frame,
            "{name}"
        );
    }
}

#[test]
fn every_golden_frame_of_the_control_plane_reads_as_what_it_was() {
    for (name, frame) in sample_frames::of_the_control_plane() {
        assert_eq!(
            decode_server(&golden(name, &encode_plain(&frame))).unwrap(),
            frame,
            "{name}"
        );
    }
}

#[test]
fn what_is_written_today_is_what_was_written_then() {
    for (name, bytes) in sample_frames::all() {
        assert_eq!(bytes, golden(name, &bytes), "{name}");
    }
}

#[test]
fn a_compressed_frame_reads_like_a_plain_one() {
    for (name, frame) in sample_frames::of_the_control_plane() {
        assert_eq!(decode_server(&encode(&frame)).unwrap(), frame, "{name}");
    }
}

#[test]
fn a_change_of_one_small_entity_costs_at_most_a_third_more_than_the_entity() {
    use dataplane_sync::native::frames::{Delta, EntityRecord, ServerFrame};
    use domain::{Digest, EntityId, Timestamp};

    let id = EntityId(uuid::Uuid::from_u128(0x1234_5678_9abc_4def_8123_4567_89ab_cdef));
    let body = format!(
        r#"{{"id":"{id}","created_at":1700000000,"updated_at":1700000000,"name":"orders","retries":5,"protocol":"http","host":"orders.internal","port":80,"path":null,"connect_timeout":60000,"write_timeout":60000,"read_timeout":60000,"tags":null,"client_certificate":null,"tls_verify":null,"tls_verify_depth":null,"ca_certificates":null,"enabled":true}}"#
    );
    let delta = ServerFrame::Delta(Delta {
        from: 1_000,
        to: 1_001,
        at: Timestamp(1_700_000_000_000),
        digest: Digest::of(b"any"),
        upserts: vec![EntityRecord {
            kind: "services".into(),
            id,
            body: body.as_str().into(),
        }],
        deletes: Vec::new(),
    });
    // The frame's own header and a TLS record's come on top.
    let sent = encode(&delta).len() + 4 + 22;
    assert!(
        sent * 10 <= body.len() * 13,
        "{sent} bytes for an entity of {}",
        body.len()
    );
}

fn golden(name: &str, today: &[u8]) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.frame"));
    if std::env::var_os("WRITE_GOLDEN").is_some() && !file.exists() {
        std::fs::write(&file, today).unwrap();
    }
    std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
