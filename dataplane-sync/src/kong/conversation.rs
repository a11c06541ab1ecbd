//! What is said with a data plane that is sent whole configurations, in whichever protocol it speaks.

use std::sync::Arc;

use domain::Timestamp;

use super::document::Envelope;
use super::levels::Offered;
use super::session::{self, Offer, Output};
use super::websocket::Message;
use super::wrpc;
use crate::node_record::Protocol;

/// A session of one of the protocols.
#[derive(Debug)]
pub(crate) enum Conversation {
    V1(session::Session),
    Wrpc(wrpc::session::Session),
}

impl Conversation {
    /// One that begins just now; sizes are in bytes.
    pub(crate) const fn new(
        protocol: Protocol,
        max_payload: usize,
        rest_millis: i64,
        now: Timestamp,
    ) -> Self {
        match protocol {
            Protocol::KongWrpc => Self::Wrpc(wrpc::session::Session::new(max_payload, rest_millis, now)),
            _ => Self::V1(session::Session::new(max_payload, rest_millis, now)),
        }
    }

    /// What configurations are wrapped in.
    pub(crate) const fn envelope(&self) -> Envelope {
        match self {
            Self::V1(_) => Envelope::Reconfigure,
            Self::Wrpc(_) => Envelope::Table,
        }
    }

    /// The node said something.
    pub(crate) fn message(&mut self, message: Message, now: Timestamp) -> Vec<Output> {
        match self {
            Self::V1(session) => session.message(message, now),
            Self::Wrpc(session) => session.message(message, now),
        }
    }

    /// The newest configuration is this.
    pub(crate) fn offered(&mut self, offered: &Offered, now: Timestamp) -> Vec<Output> {
        let frame = offered.frame.as_ref().ok();
        match self {
            Self::V1(session) => {
                let offer = frame.map_or(Offer::Withheld, |frame| Offer::Frame {
                    hash: frame.hashes.config.clone(),
                    payload: frame.payload,
                    json: frame.json,
                });
                session.offered(offer, now)
            }
            Self::Wrpc(session) => session.offered(frame.cloned(), now),
        }
    }

    /// The hash of what is offered, if the node runs that and nothing else is on its way to it.
    pub(crate) fn runs_offer(&self) -> Option<Arc<str>> {
        match self {
            Self::V1(session) => session.runs_offer(),
            Self::Wrpc(session) => session.runs_offer(),
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Output> {
        match self {
            Self::V1(session) => session.tick(now),
            Self::Wrpc(session) => session.tick(now),
        }
    }

    /// When [`Self::tick`] has something to do at the latest.
    pub(crate) fn deadline(&self) -> Timestamp {
        match self {
            Self::V1(session) => session.deadline(),
            Self::Wrpc(session) => session.deadline(),
        }
    }
}
