//! What Kong's data planes say: the request that opens a connection, the messages of v1, of 3.1's calls and of v2's JSON-RPC.
#![no_main]

use bytes::Bytes;
use dataplane_sync::kong::basic_info::BasicInfo;
use dataplane_sync::kong::request::NodeQuery;
use dataplane_sync::kong::rpc::{json_rpc, session as v2, snappy, version::SyncVersion};
use dataplane_sync::kong::websocket::Message;
use dataplane_sync::kong::wrpc::session as calls;
use domain::Timestamp;
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_767_225_600_000);

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 4 {
        0 => {
            drop(BasicInfo::parse(rest));
            if let Ok(query) = std::str::from_utf8(rest) {
                drop(NodeQuery::parse(query));
                drop(SyncVersion::parse(query));
            }
        }
        // One message after the other, as many as the bytes have.
        1 => {
            let mut session = calls::Session::new(4 << 20, 1_000, NOW);
            for message in messages(rest) {
                drop(session.message(Message::Binary(Bytes::copy_from_slice(message)), NOW));
            }
        }
        2 => {
            let mut session = v2::Session::new(NOW);
            let mut messages = messages(rest);
            drop(session.frame(messages.next().unwrap_or_default(), NOW));
            drop(session.admitted(None, 4 << 20));
            for message in messages {
                drop(session.frame(message, NOW));
            }
        }
        _ => {
            drop(json_rpc::decode(rest));
            drop(snappy::decompress(rest));
        }
    }
});

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
