//! One data plane's session on `/v1/outlet` as a pure state machine (`kong-hybrid-protocol.md` §2): time, messages and
//! offers go in; what to send, what the registry should know, and the end come out. [`super::connection`] drives it.
//!
//! There is no acknowledgement in this protocol: the hash in a node's pings is all that says what it runs. A push that it
//! refuses is therefore known by a ping with another hash, later than the push by as much as applying it may take.

use std::sync::Arc;

use bytes::Bytes;
use domain::Timestamp;
use domain::bounded_json::{self, NodeBudget, RepeatedKeys};
use serde_json::Value;

use super::basic_info::BasicInfo;
use super::frame::Frame;
use super::websocket::Message;
use crate::native::DISCONNECT_SECONDS;

/// How long a node may take for its basic_info (§1.4).
const BASIC_INFO_MILLIS: i64 = 5_000;
/// How many values what a node says may have.
const MOST_VALUES: usize = 100_000;
/// How long its first ping is waited for, which says what it has.
const FIRST_PING_MILLIS: i64 = 1_000;
/// How long a push takes at most to be applied, whatever its size …
const APPLIED_WITHIN_MILLIS: i64 = 5_000;
/// … and how much longer per so many bytes of JSON: a data plane needs some 0.4 s per megabyte.
const BYTES_PER_SECOND: usize = 1024 * 1024;

/// What a node is offered: the newest configuration as it is written for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// A frame.
    Frame {
        /// Its `config_hash`.
        hash: Arc<str>,
        /// Its compressed payload, in bytes.
        payload: usize,
        /// Its JSON, in bytes.
        json: usize,
    },
    /// Nothing: the configuration can't be expressed for it.
    Withheld,
}

/// What a session tells its driver to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Answer a ping.
    Pong(Bytes),
    /// Send the frame that was offered last.
    Push,
    /// Send this message.
    Send(Frame),
    /// Tell the registry.
    Report(Report),
    /// End the connection.
    Close(String),
}

/// What the registry should know.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// The node has introduced itself.
    Arrived(BasicInfo),
    /// It is there, and has this configuration.
    Pinged(String),
    /// It was sent the configuration with this hash and doesn't run it.
    Refused(Arc<str>),
    /// It says what is wrong, in its words (§2.6).
    Failed(Value),
    /// A frame with this many bytes of payload is larger than it takes, which is so many.
    TooLarge(usize, usize),
}

/// A session.
#[derive(Debug)]
pub struct Session {
    began: Timestamp,
    heard: Timestamp,
    /// The largest payload the node takes, in bytes, and how long to rest between two pushes, in milliseconds.
    max_payload: usize,
    rest: i64,
    arrived: Option<Timestamp>,
    offer: Option<Offer>,
    /// The hash of the node's last ping.
    has: Option<String>,
    pushed: Option<Pushed>,
}

#[derive(Debug)]
struct Pushed {
    hash: Arc<str>,
    at: Timestamp,
    /// When it must have been applied.
    due: Timestamp,
    refused: bool,
}

impl Session {
    /// A session that began just now, with a node that takes payloads up to this size unless it says otherwise.
    pub const fn new(max_payload: usize, rest_millis: i64, now: Timestamp) -> Self {
        Self {
            began: now,
            heard: now,
            max_payload,
            rest: rest_millis,
            arrived: None,
            offer: None,
            has: None,
            pushed: None,
        }
    }

    /// When [`Self::tick`] has something to do at the latest.
    pub fn deadline(&self) -> Timestamp {
        let Some(arrived) = self.arrived else {
            return millis_after(self.began, BASIC_INFO_MILLIS);
        };
        let silent = self.heard.plus_seconds(DISCONNECT_SECONDS);
        match self.push_after(arrived) {
            Some(push) => push.min(silent),
            None => silent,
        }
    }

    /// Something came that says no more than that the node is there.
    pub const fn heard(&mut self, now: Timestamp) {
        self.heard = now;
    }

    /// The node has introduced itself, and says how large payloads it takes at most, in bytes, if it does.
    pub fn introduced(&mut self, max_payload: Option<usize>, now: Timestamp) {
        self.arrived = Some(now);
        self.max_payload = max_payload.unwrap_or(self.max_payload);
    }

    /// The newest configuration is this.
    pub fn offered(&mut self, offer: Offer, now: Timestamp) -> Vec<Output> {
        let mut outputs = Vec::new();
        if let Offer::Frame { payload, .. } = offer
            && payload > self.max_payload
        {
            outputs.push(Output::Report(Report::TooLarge(payload, self.max_payload)));
            self.offer = Some(Offer::Withheld);
            return outputs;
        }
        self.offer = Some(offer);
        outputs.extend(self.push(now));
        outputs
    }

    /// The hash of what is offered, if the node runs that and nothing else is on its way to it.
    pub fn runs_offer(&self) -> Option<Arc<str>> {
        let Some(Offer::Frame { hash, .. }) = &self.offer else {
            return None;
        };
        let alone = self.pushed.as_ref().is_none_or(|pushed| pushed.hash == *hash);
        (alone && self.has.as_deref() == Some(hash)).then(|| hash.clone())
    }

    /// The node said something.
    pub fn message(&mut self, message: Message, now: Timestamp) -> Vec<Output> {
        self.heard = now;
        match message {
            Message::Ping(payload) => self.ping(payload, now),
            Message::Binary(bytes) if self.arrived.is_none() => self.basic_info(&bytes, now),
            Message::Binary(bytes) => match said_by(&bytes) {
                Ok(said) if said["type"] == "error" => {
                    vec![Output::Report(Report::Failed(said["error"].clone()))]
                }
                _ => Vec::new(),
            },
            // Tolerated, because there is nothing to gain by cutting off who says too much (§1.4).
            Message::Text(_) | Message::Pong => Vec::new(),
            Message::Close => vec![Output::Close(String::new())],
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Output> {
        if self.arrived.is_none() && now >= millis_after(self.began, BASIC_INFO_MILLIS) {
            return vec![Output::Close(
                "the node didn't introduce itself within 5 seconds".to_owned(),
            )];
        }
        if now >= self.heard.plus_seconds(DISCONNECT_SECONDS) {
            return vec![Output::Close(format!(
                "nothing was heard for {DISCONNECT_SECONDS} seconds"
            ))];
        }
        self.push(now).into_iter().collect()
    }

    fn basic_info(&mut self, bytes: &[u8], now: Timestamp) -> Vec<Output> {
        match BasicInfo::parse(bytes) {
            Ok(info) => {
                self.introduced(info.max_payload(), now);
                vec![Output::Report(Report::Arrived(info))]
            }
            Err(error) => vec![Output::Close(error.to_string())],
        }
    }

    fn ping(&mut self, payload: Bytes, now: Timestamp) -> Vec<Output> {
        let has = String::from_utf8_lossy(&payload).into_owned();
        let mut outputs = vec![Output::Pong(payload), Output::Report(Report::Pinged(has.clone()))];
        if let Some(pushed) = &mut self.pushed
            && *pushed.hash != *has
            && now >= pushed.due
            && !pushed.refused
        {
            pushed.refused = true;
            outputs.push(Output::Report(Report::Refused(pushed.hash.clone())));
        }
        self.has = Some(has);
        outputs.extend(self.push(now));
        outputs
    }

    fn push(&mut self, now: Timestamp) -> Option<Output> {
        let due = self.push_after(self.arrived?)?;
        let Some(Offer::Frame { hash, json, .. }) = &self.offer else {
            return None;
        };
        if now < due {
            return None;
        }
        let patience = APPLIED_WITHIN_MILLIS + (json / BYTES_PER_SECOND) as i64 * 1_000;
        self.pushed = Some(Pushed {
            hash: hash.clone(),
            at: now,
            due: millis_after(now, patience),
            refused: false,
        });
        Some(Output::Push)
    }

    /// From when on what is offered may be pushed; none where the node has it, or was sent it already: a document that
    /// was refused is refused again (§2.6).
    fn push_after(&self, arrived: Timestamp) -> Option<Timestamp> {
        let Some(Offer::Frame { hash, .. }) = &self.offer else {
            return None;
        };
        match (&self.pushed, &self.has) {
            (Some(pushed), _) if pushed.hash == *hash => None,
            (Some(pushed), _) => Some(millis_after(pushed.at, self.rest)),
            (None, Some(has)) if **has == **hash => None,
            (None, Some(_)) => Some(arrived),
            (None, None) => Some(millis_after(arrived, FIRST_PING_MILLIS)),
        }
    }
}

const fn millis_after(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp(at.0 + millis)
}

/// What a node says after it has introduced itself.
fn said_by(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    bounded_json::from_slice(bytes, &NodeBudget::new(MOST_VALUES), RepeatedKeys::LastCounts)
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
