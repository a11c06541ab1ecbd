//! One instance's wRPC session as a pure state machine: time, frames and new configurations go in; frames to send, what
//! the registry should know, and the end come out.
//!
//! An instance first agrees on the services, then says which plugins it has; only then is it sent configurations. It
//! accepts each before it tries to apply it, so only a ping with its hash says that it runs. [`Output::Push`] isn't among
//! what comes out: a configuration travels in a message of its own.

use std::sync::Arc;

use bytes::Bytes;
use domain::Timestamp;
use serde_json::json;

use super::INSTANCE_MESSAGE_LIMIT;
use super::envelope::{Call, Content, Envelope, ErrorKind, NotAMessage};
use super::messages::{
    self, CONFIG, NEGOTIATE_SERVICES, NEGOTIATION, Negotiation, PING_CP, REPORT_METADATA, SYNC_CONFIG,
};
use crate::kong::basic_info::BasicInfo;
use crate::kong::document;
use crate::kong::session::{self as pushes, Offer, Output, Report};
use crate::kong::websocket::Message;

/// How long an instance may take to answer, in seconds. It drops a request whose time is over by its own clock.
const ANSWER_SECONDS: i64 = 90;
/// What stands before a configuration in its message has fewer bytes than this.
const HEAD_LIMIT: usize = 1024;

/// One instance's session. What is pushed when, and what a ping says, is as in v1.
#[derive(Debug)]
pub struct Session {
    pushes: pushes::Session,
    negotiated: bool,
    plugins: Option<Vec<(String, Option<String>)>>,
    /// What was offered last.
    offered: Option<Arc<document::Frame>>,
    sequence: u32,
    version: u64,
}

impl Session {
    /// A session that has just been opened, with an instance that takes payloads up to this size in bytes, and rests so
    /// many milliseconds between two.
    pub const fn new(max_payload: usize, rest_millis: i64, now: Timestamp) -> Self {
        Self {
            pushes: pushes::Session::new(max_payload, rest_millis, now),
            negotiated: false,
            plugins: None,
            offered: None,
            sequence: 0,
            version: 0,
        }
    }

    /// The instance said something.
    pub fn message(&mut self, message: Message, now: Timestamp) -> Vec<Output> {
        self.pushes.heard(now);
        match message {
            Message::Binary(bytes) if bytes.len() > INSTANCE_MESSAGE_LIMIT => {
                close(&format!("a message of {} bytes is too long", bytes.len()))
            }
            Message::Binary(bytes) => match Envelope::decode(&bytes) {
                Ok(envelope) => self.envelope(&envelope, now),
                Err(error) => close(&error.to_string()),
            },
            Message::Ping(payload) => vec![Output::Pong(payload)],
            Message::Text(_) | Message::Pong => Vec::new(),
            Message::Close => close(""),
        }
    }

    /// The newest configuration, as it is written for the instance; none where it can't be.
    pub fn offered(&mut self, frame: Option<Arc<document::Frame>>, now: Timestamp) -> Vec<Output> {
        let offer = match &frame {
            Some(frame) => Offer::Frame {
                hash: frame.hashes.config.clone(),
                payload: frame.payload + HEAD_LIMIT,
                json: frame.json,
            },
            None => Offer::Withheld,
        };
        self.offered = frame;
        let outputs = self.pushes.offered(offer, now);
        self.translated(outputs, now)
    }

    /// The hash of what is offered, if the instance runs that and nothing else is on its way to it.
    pub fn runs_offer(&self) -> Option<Arc<str>> {
        self.pushes.runs_offer()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Timestamp) -> Vec<Output> {
        let outputs = self.pushes.tick(now);
        self.translated(outputs, now)
    }

    /// When [`Session::tick`] is next needed.
    pub fn deadline(&self) -> Timestamp {
        self.pushes.deadline()
    }

    fn envelope(&mut self, envelope: &Envelope<'_>, now: Timestamp) -> Vec<Output> {
        match &envelope.content {
            Content::Error(description) => vec![Output::Report(Report::Failed(json!({
                "name": "wRPC error",
                "message": description,
            })))],
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
                let mut outputs = vec![self.answer(envelope, &[])];
                let pushes = self.pushes.message(Message::Ping(hash.into()), now);
                outputs.extend(self.translated(pushes, now));
                Ok(outputs)
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
        } else if !self.negotiated {
            self.negotiated = true;
            outputs.extend(self.introduced(now));
        }
        Ok(outputs)
    }

    /// What there is to say once the instance has said everything about itself.
    fn introduced(&mut self, now: Timestamp) -> Option<Output> {
        let plugins = self.plugins.as_ref().filter(|_| self.negotiated)?;
        // It doesn't say how large payloads it takes.
        self.pushes.introduced(None, now);
        let info = BasicInfo {
            plugins: plugins.iter().cloned().collect(),
            ..BasicInfo::default()
        };
        Some(Output::Report(Report::Arrived(info)))
    }

    /// What v1's session says, in wRPC's words.
    fn translated(&mut self, outputs: Vec<Output>, now: Timestamp) -> Vec<Output> {
        let translated = outputs.into_iter().filter_map(|output| match output {
            Output::Push => self.push(now),
            // A ping is answered as the call that it is.
            Output::Pong(_) => None,
            other => Some(other),
        });
        translated.collect()
    }

    fn push(&mut self, now: Timestamp) -> Option<Output> {
        let frame = self.offered.clone()?;
        // Rises over reconnections too.
        self.version = (self.version + 1).max(now.0.unsigned_abs());
        let head = messages::sync_config(frame.bytes.len(), self.version, &frame.hashes);
        let call = Call {
            service: CONFIG,
            rpc: SYNC_CONFIG,
            sequence: self.next_sequence(),
            ack: 0,
            deadline: u32::try_from(now.plus_seconds(ANSWER_SECONDS).seconds()).unwrap_or(u32::MAX),
        };
        Some(Output::Send(call.enclose(&head, frame.bytes.clone())))
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
