//! What Kong's data planes say: the request that opens a connection, and whole connections of v1, of 3.1's calls and of v2's
//! JSON-RPC, from the bytes of their WebSocket on.
//!
//! A ping is answered with what it said. Nothing is pushed before an instance has introduced itself, and nothing twice in a row.
//! What is answered on v2 is JSON-RPC, and what is kept of what an instance says is short.
#![no_main]

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use dataplane_sync::kong::request::NodeQuery;
use dataplane_sync::kong::rpc::deltas::EncodedDeltas;
use dataplane_sync::kong::rpc::version::{Lineage, SyncVersion};
use dataplane_sync::kong::rpc::{json_rpc, session as v2, snappy};
use dataplane_sync::kong::session::{self as v1, Offer, Report};
use dataplane_sync::kong::websocket::{Message, WebSocket};
use dataplane_sync::kong::wrpc::session as calls;
use domain::{Digest, GroupId, Timestamp};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_767_225_600_000);
const LARGEST: usize = 4 << 20;
/// How much longer what is kept of a text may be than what was said: a mark that it was cut, or that bytes weren't UTF-8.
const LONGEST_KEPT: usize = 8 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = bytes.split_first() else {
        return;
    };
    match choice % 5 {
        0 => pieces(rest),
        1 => v1_session(&received(rest)),
        2 => calls_session(&received(rest)),
        3 => v2_session(received(rest).into_iter().filter_map(|message| match message {
            Message::Binary(bytes) => Some(bytes.to_vec()),
            _ => None,
        })),
        // The instance compresses what it says, but for its hello.
        _ => {
            let texts = rest.split(|byte| *byte == 0).map(String::from_utf8_lossy);
            v2_session(texts.enumerate().map(|(number, text)| match number {
                0 => text.as_bytes().to_vec(),
                _ => snappy::own_message(&text).joined(),
            }));
        }
    }
});

fn pieces(bytes: &[u8]) {
    drop(json_rpc::decode(bytes));
    drop(snappy::decompress(bytes));
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let query = NodeQuery::parse(text);
    assert!(query.hostname.len() <= text.len());
    if let Some(version) = SyncVersion::parse(text) {
        assert_eq!(version.to_string(), text);
    }
}

/// What a connection's bytes say, up to the first that mean nothing.
fn received(bytes: &[u8]) -> Vec<Message> {
    let mut socket = WebSocket::new(tokio::io::join(bytes, tokio::io::sink()), &[]);
    let mut messages = Vec::new();
    loop {
        let mut next = pin!(socket.receive());
        match next.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(message)) => messages.push(message),
            Poll::Ready(Err(_)) => return messages,
            Poll::Pending => panic!("bytes in memory are there at once"),
        }
    }
}

fn v1_session(messages: &[Message]) {
    let mut session = v1::Session::new(LARGEST, 1_000, NOW);
    let (mut now, mut heard) = (NOW, Heard::default());
    for (number, message) in messages.iter().enumerate() {
        now = Timestamp(now.0 + 700);
        let outputs = session.message(message.clone(), now);
        if let Message::Ping(payload) = message {
            assert!(
                outputs.contains(&v1::Output::Pong(payload.clone())),
                "a ping is answered"
            );
            heard.last_ping = Some(String::from_utf8_lossy(payload).into_owned());
        }
        if !heard.check(outputs) {
            return;
        }
        // Every second offer is new, and some are said by the instance to be what it has.
        let hash = match (number % 4, &heard.last_ping) {
            (0, Some(ping)) => Arc::from(ping.as_str()),
            _ => Arc::from(format!("{:032x}", number / 2)),
        };
        heard.offered = Some(Arc::clone(&hash));
        let (payload, json) = (1 << (number % 24), 1 << 20);
        let outputs = session.offered(Offer::Frame { hash, payload, json }, now);
        let goes_on = heard.check(outputs);
        if let Some(hash) = session.runs_offer() {
            assert_eq!(heard.last_ping.as_deref(), Some(&*hash), "it runs what it says");
        }
        now = now.max(Timestamp(session.deadline().0.min(now.0 + 10_000)));
        if !goes_on || !heard.check(session.tick(now)) {
            return;
        }
    }
}

/// What came out of a session of v1 so far.
#[derive(Default)]
struct Heard {
    arrived: bool,
    last_ping: Option<String>,
    offered: Option<Arc<str>>,
    pushed: Option<Arc<str>>,
}

impl Heard {
    /// Whether the connection goes on.
    fn check(&mut self, outputs: Vec<v1::Output>) -> bool {
        for output in outputs {
            match output {
                v1::Output::Close(_) => return false,
                v1::Output::Push => {
                    assert!(self.arrived, "nothing is pushed to a stranger");
                    assert_ne!(self.pushed, self.offered, "nothing is pushed twice in a row");
                    self.pushed.clone_from(&self.offered);
                }
                v1::Output::Report(Report::Arrived(info)) => {
                    assert!(!self.arrived, "an instance arrives once");
                    self.arrived = true;
                    assert!(info.plugins.keys().all(|name| name.len() <= LONGEST_KEPT));
                }
                v1::Output::Report(Report::Refused(hash)) => assert_eq!(Some(hash), self.pushed),
                v1::Output::Report(_) | v1::Output::Pong(_) | v1::Output::Send(_) => {}
            }
        }
        true
    }
}

fn calls_session(messages: &[Message]) {
    let mut session = calls::Session::new(LARGEST, 1_000, NOW);
    let mut now = NOW;
    for message in messages {
        now = Timestamp(now.0 + 700);
        let mut outputs = session.message(message.clone(), now);
        outputs.extend(session.offered(None, now));
        outputs.extend(session.tick(now));
        if outputs
            .iter()
            .any(|output| matches!(output, v1::Output::Close(_)))
        {
            return;
        }
    }
}

fn v2_session(messages: impl Iterator<Item = Vec<u8>>) {
    let lineage = Lineage::of(Uuid::from_u128(1), GroupId(Uuid::from_u128(2)), "3.10");
    let newest = |number| lineage.at(number, Digest([7; 32]));
    let mut session = v2::Session::new(NOW);
    let mut now = NOW;
    for (number, message) in (1..).zip(messages) {
        now = Timestamp(now.0 + 700);
        let mut outputs = session.frame(&message, now);
        let mut answers = Vec::new();
        for output in &outputs {
            match output {
                v2::Output::Arrived(hello) => {
                    let sync = hello.offers_sync().then(|| newest(number));
                    answers.extend(session.admitted(sync, LARGEST));
                    // Its hello is answered in plain text.
                    let v2::Output::Send(frame) = answers.remove(0) else {
                        panic!("a hello is answered");
                    };
                    check_json(&frame.joined());
                }
                v2::Output::Wanted(wanted) => {
                    let nothing = EncodedDeltas::nothing(newest(number)).expect("nothing can be written");
                    let deltas = match number % 3 {
                        0 => v2::Deltas::Withheld,
                        _ => v2::Deltas::Encoded(&nothing),
                    };
                    answers.extend(session.answered(wanted, deltas));
                }
                _ => {}
            }
        }
        outputs.extend(answers);
        outputs.extend(session.available(newest(number)));
        outputs.extend(session.tick(now));
        for output in outputs {
            match output {
                v2::Output::Close(_) => return,
                v2::Output::Send(frame) => {
                    let text =
                        snappy::decompress(&frame.joined()).expect("what is sent is compressed as agreed");
                    check_json(&text);
                }
                v2::Output::Runs(version) => assert!(version.len() <= LONGEST_KEPT),
                v2::Output::Refused { version, reason } => {
                    assert!(version.len() <= LONGEST_KEPT && reason.len() <= LONGEST_KEPT);
                }
                _ => {}
            }
        }
    }
}

fn check_json(text: &[u8]) {
    let said: Value = serde_json::from_slice(text).expect("what is sent is JSON");
    let says = match &said {
        Value::Array(all) => all.clone(),
        one => vec![one.clone()],
    };
    assert!(
        says.iter().all(|one| one["jsonrpc"] == "2.0"),
        "what is sent is JSON-RPC"
    );
}
