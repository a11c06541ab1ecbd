//! One instance's wRPC session as a pure state machine: time, frames and new configurations go in; frames to send, what
//! the registry should know, and the end come out.
//!
//! An instance first agrees on the services, then says which plugins it has; only then is it sent configurations. It
//! accepts each before it tries to apply it, so only a ping with its hash says that it runs.

use bytes::Bytes;
use domain::Timestamp;

use super::INSTANCE_MESSAGE_LIMIT;
use super::envelope::{Call, Content, Envelope, ErrorKind, NotAMessage};
use super::messages::{
    self, CONFIG, NEGOTIATE_SERVICES, NEGOTIATION, Negotiation, PING_CP, REPORT_METADATA, SYNC_CONFIG,
};
use crate::kong::frame::Frame;

/// How long an instance may take to introduce itself, in seconds.
const HELLO_SECONDS: i64 = 10;
/// An instance not heard of for so long is disconnected, in seconds: it pings every 30.
const SILENCE_SECONDS: i64 = 90;
/// How long an instance may take to answer, in seconds. It drops a request whose time is over by its own clock.
const ANSWER_SECONDS: i64 = 90;
/// The longest message an instance of Kong 3.1 takes unless it is told otherwise, which it doesn't report, in bytes.
const PAYLOAD_LIMIT: usize = 4 * 1024 * 1024;
/// What stands before a configuration in its message has fewer bytes than this.
const HEAD_LIMIT: usize = 1024;

/// What a session tells its driver to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this message.
    Send(Frame),
    /// The instance has introduced itself.
    Arrived {
        /// Its program's version, as it says.
        version: String,
        /// Its host's name, as it says.
        hostname: String,
        /// Its plugins, each with the version it reports.
        plugins: Vec<(String, Option<String>)>,
    },
    /// The instance runs the configuration of this hash.
    Ping {
        /// Which; empty or zeros where it has none.
        hash: String,
    },
    /// Something went wrong that should stand in the instance's record.
    Error(String),
    /// Close the connection; the reason is for people.
    Close(String),
}

/// A configuration, encoded once for all instances of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// gzip of the JSON text.
    pub config: Bytes,
    /// What the whole, and its routes, services, plugins, upstreams and targets hash to.
    pub hashes: [String; 6],
}

/// One instance's session.
#[derive(Clone, Debug)]
pub struct Session {
    negotiated: Option<Negotiation>,
    plugins: Option<Vec<(String, Option<String>)>>,
    /// The newest configuration, until the instance can be sent it.
    waiting: Option<Configuration>,
    /// The hash of what was last sent, or was too long to be.
    sent: Option<String>,
    sequence: u32,
    version: u64,
    last_heard: Timestamp,
}

impl Session {
    /// A session that has just been opened.
    pub const fn new(now: Timestamp) -> Self {
        Self {
            negotiated: None,
            plugins: None,
            waiting: None,
            sent: None,
            sequence: 0,
            version: 0,
            last_heard: now,
        }
    }

    /// A message came.
    pub fn frame(&mut self, bytes: &[u8], now: Timestamp) -> Vec<Output> {
        self.last_heard = now;
        if bytes.len() > INSTANCE_MESSAGE_LIMIT {
            return close(&format!("a message of {} bytes is too long", bytes.len()));
        }
        match Envelope::decode(bytes) {
            Ok(envelope) => self.envelope(&envelope, now),
            Err(error) => close(&error.to_string()),
        }
    }

    /// Something came that is no message.
    pub const fn heard(&mut self, now: Timestamp) {
        self.last_heard = now;
    }

    /// There is a newer configuration; one of the same hash as the last isn't sent again.
    pub fn available(&mut self, configuration: &Configuration, now: Timestamp) -> Vec<Output> {
        self.waiting = Some(configuration.clone());
        self.catch_up(now).into_iter().collect()
    }

    /// Time has passed.
    pub fn tick(&self, now: Timestamp) -> Vec<Output> {
        if now < self.deadline() {
            return Vec::new();
        }
        if self.is_introduced() {
            close(&format!("nothing was heard for {SILENCE_SECONDS} seconds"))
        } else {
            close(&format!(
                "it didn't introduce itself within {HELLO_SECONDS} seconds"
            ))
        }
    }

    /// When [`Session::tick`] is next needed.
    pub const fn deadline(&self) -> Timestamp {
        let patience = if self.is_introduced() {
            SILENCE_SECONDS
        } else {
            HELLO_SECONDS
        };
        self.last_heard.plus_seconds(patience)
    }

    const fn is_introduced(&self) -> bool {
        self.negotiated.is_some() && self.plugins.is_some()
    }

    fn envelope(&mut self, envelope: &Envelope<'_>, now: Timestamp) -> Vec<Output> {
        match &envelope.content {
            Content::Error(description) => vec![Output::Error(format!("it couldn't follow: {description}"))],
            // That a configuration was accepted says nothing: it is applied after that, or isn't.
            Content::Rpc(_) if envelope.ack != 0 => Vec::new(),
            Content::Rpc(argument) => match self.call(envelope, argument, now) {
                Ok(outputs) => outputs,
                Err(error) => close(&error.to_string()),
            },
        }
    }

    fn call(
        &mut self,
        envelope: &Envelope<'_>,
        argument: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Output>, NotAMessage> {
        match (envelope.service, envelope.rpc) {
            (NEGOTIATION, NEGOTIATE_SERVICES) => self.negotiate(envelope, argument, now),
            (CONFIG, REPORT_METADATA) => {
                let plugins = messages::decode_metadata(argument)?;
                let mut outputs = vec![self.answer(envelope, &messages::metadata_heard())];
                if self.plugins.is_none() {
                    self.plugins = Some(plugins);
                    outputs.extend(self.introduced(now));
                }
                Ok(outputs)
            }
            (CONFIG, PING_CP) => {
                let hash = messages::decode_ping(argument)?;
                Ok(vec![self.answer(envelope, &[]), Output::Ping { hash }])
            }
            (CONFIG | NEGOTIATION, rpc) => {
                let service = envelope.service;
                let description = format!("service {service} has no procedure {rpc} here");
                Ok(vec![self.refuse(envelope, ErrorKind::InvalidRpc, &description)])
            }
            (service, _) => {
                let description = format!("there is no service {service} here");
                Ok(vec![self.refuse(
                    envelope,
                    ErrorKind::InvalidService,
                    &description,
                )])
            }
        }
    }

    fn negotiate(
        &mut self,
        envelope: &Envelope<'_>,
        argument: &[u8],
        now: Timestamp,
    ) -> Result<Vec<Output>, NotAMessage> {
        let negotiation = Negotiation::decode(argument)?;
        let mut outputs = vec![self.answer(envelope, &negotiation.answer())];
        if !negotiation.is_spoken() {
            outputs.push(Output::Close(
                "it doesn't know version 1 of the service that hands over configurations".to_owned(),
            ));
        } else if self.negotiated.is_none() {
            self.negotiated = Some(negotiation);
            outputs.extend(self.introduced(now));
        }
        Ok(outputs)
    }

    /// What there is to do once the instance has said everything about itself.
    fn introduced(&mut self, now: Timestamp) -> Vec<Output> {
        let (Some(negotiated), Some(plugins)) = (&self.negotiated, &self.plugins) else {
            return Vec::new();
        };
        let arrived = Output::Arrived {
            version: negotiated.version.clone(),
            hostname: negotiated.hostname.clone(),
            plugins: plugins.clone(),
        };
        let mut outputs = vec![arrived];
        outputs.extend(self.catch_up(now));
        outputs
    }

    fn catch_up(&mut self, now: Timestamp) -> Option<Output> {
        if !self.is_introduced() {
            return None;
        }
        let Configuration { config, hashes } = self.waiting.take()?;
        if self.sent.as_ref() == Some(&hashes[0]) {
            return None;
        }
        let [hash, ..] = hashes.clone();
        self.sent = Some(hash);
        if config.len() + HEAD_LIMIT > PAYLOAD_LIMIT {
            return Some(Output::Error(format!(
                "the configuration has {} bytes compressed, more than the {PAYLOAD_LIMIT} that Kong 3.1 takes: update the instance",
                config.len()
            )));
        }
        // Rises over reconnections too.
        self.version = (self.version + 1).max(now.0.unsigned_abs());
        let head = messages::sync_config(config.len(), self.version, &hashes);
        let call = Call {
            service: CONFIG,
            rpc: SYNC_CONFIG,
            sequence: self.next_sequence(),
            ack: 0,
            deadline: u32::try_from(now.plus_seconds(ANSWER_SECONDS).seconds()).unwrap_or(u32::MAX),
        };
        Some(Output::Send(call.enclose(&head, config)))
    }

    fn answer(&mut self, envelope: &Envelope<'_>, result: &[u8]) -> Output {
        Output::Send(self.answering(envelope).enclose(result, Bytes::new()))
    }

    fn refuse(&mut self, envelope: &Envelope<'_>, kind: ErrorKind, description: &str) -> Output {
        Output::Send(self.answering(envelope).refuse(kind, description))
    }

    fn answering(&mut self, envelope: &Envelope<'_>) -> Call {
        Call {
            service: envelope.service,
            rpc: envelope.rpc,
            sequence: self.next_sequence(),
            ack: envelope.sequence,
            deadline: 0,
        }
    }

    /// Numbers from 1 on; after the last comes 1 again, because 0 says that there is none.
    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        self.sequence
    }
}

fn close(reason: &str) -> Vec<Output> {
    vec![Output::Close(reason.to_owned())]
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
