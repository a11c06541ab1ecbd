//! Whatever bytes a decoder is given, it answers or refuses: it never panics, and never believes a claimed size.

use dataplane_sync::native::frames::{decode_instance, decode_server};
use dataplane_sync::native::parts::Assembler;
use proptest::prelude::*;

#[path = "shared/sample_frames.rs"]
mod sample_frames;

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_frame(codec in 0_u8..3, bytes in prop::collection::vec(any::<u8>(), 0..1_000)) {
        decode(&[&[codec], bytes.as_slice()].concat());
    }

    #[test]
    fn a_damaged_frame_is_read_or_refused(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let frames = sample_frames::all();
        let (_, mut bytes) = frames[which.index(frames.len())].clone();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        decode(&bytes);
    }
}

#[test]
fn nesting_without_end_is_refused() {
    for opening in [0x91_u8, 0x81, 0xdc, 0xdf] {
        let bytes = [vec![0], vec![opening; 60_000]].concat();
        assert!(decode_instance(&bytes).is_err());
        assert!(decode_server(&bytes).is_err());
    }
}

#[test]
fn a_claimed_size_takes_no_memory() {
    let bytes = [&[1][..], &u32::MAX.to_be_bytes(), &[0; 20]].concat();
    assert!(decode_server(&bytes).is_err());
    let bytes = [&[1][..], &2_000_000_000_u32.to_be_bytes(), &[0; 20]].concat();
    assert!(decode_server(&bytes).is_err());
}

#[test]
fn what_an_instance_may_say_is_small() {
    let reason = "x".repeat(100_000);
    let frame = dataplane_sync::native::frames::InstanceFrame::Refetch { reason };
    let bytes = dataplane_sync::native::frames::encode(&frame);
    assert!(bytes.len() < 1_000, "it compresses well");
    assert!(decode_instance(&bytes).is_err());
}

fn decode(bytes: &[u8]) {
    drop(decode_instance(bytes));
    if let Ok(frame) = decode_server(bytes) {
        drop(Assembler::default().take(frame));
    }
}
