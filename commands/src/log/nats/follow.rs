//! Following all boundaries: one unfiltered pull consumer, made again after every interruption, its positions checked.

use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::message::Message;
use domain::log::ReadError;
use domain::{EventLog, Position, Record};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tracing::{debug, warn};

use super::{NatsLog, record, unavailable};
use crate::jetstream::reader::{self, Reader};
use crate::log::invariants::{Continuity, check_tail};

/// How often making a consumer is tried before the log counts as unavailable.
const ATTEMPTS: u32 = 8;

/// The pause after the first failed attempt; doubled after each.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Follows the log after a position.
pub(super) fn follow(log: NatsLog, after: Position) -> BoxStream<'static, Result<Record, ReadError>> {
    let follower = Follower {
        log,
        continuity: Continuity::after(after),
        messages: None,
        failures: 0,
    };
    stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(record) => Some((Ok(record), Some(follower))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// Messages of the stream from a position on, of all subjects or of one, as a consumer on one of the servers delivers them.
pub(super) struct Messages {
    reader: Reader,
}

impl Messages {
    /// Begins to read.
    pub(super) async fn open(log: &NatsLog, first: Position, filter: &str) -> Result<Self, ReadError> {
        let from = DeliverPolicy::ByStartSequence {
            start_sequence: first.0,
        };
        let wanted = reader::wanted(from, filter.to_owned());
        let open = || async {
            let opened = Reader::open(&log.stream, wanted.clone()).await;
            opened.map_err(unavailable)
        };
        Ok(Self {
            reader: log.patiently(open).await?,
        })
    }

    /// The next message, waiting for it if there is none yet.
    pub(super) async fn next(&mut self) -> Result<Message, ReadError> {
        self.reader.next().await.map_err(unavailable)
    }

    /// Reads no more.
    pub(super) async fn close(self, log: &NatsLog) {
        self.reader.close(&log.connection.client).await;
    }
}

/// The position of a message that a consumer delivered.
pub(super) fn position(message: &Message) -> Result<Position, ReadError> {
    message
        .info()
        .map(|info| Position(info.stream_sequence))
        .map_err(unavailable)
}

/// Where one follower stands.
struct Follower {
    log: NatsLog,
    continuity: Continuity,
    messages: Option<Messages>,
    failures: u32,
}

impl Follower {
    /// The next record, waiting for it if there is none yet.
    async fn next(&mut self) -> Result<Record, ReadError> {
        loop {
            let Some(messages) = &mut self.messages else {
                self.reconnect().await?;
                continue;
            };
            match messages.next().await {
                Ok(message) => {
                    let found = position(&message)?;
                    if found <= self.continuity.last() {
                        continue;
                    }
                    if found != self.continuity.last().next() {
                        self.confirm_gap(found).await?;
                        continue;
                    }
                    self.failures = 0;
                    self.continuity.accept(found)?;
                    return record(found.0, &message.subject, message.payload.clone());
                }
                Err(interruption) => {
                    debug!(%interruption, after = %self.continuity.last(), "following is interrupted");
                    self.close().await;
                }
            }
        }
    }

    /// Makes a consumer after the last record; checks first that the log still holds that one.
    async fn reconnect(&mut self) -> Result<(), ReadError> {
        let last = self.continuity.last();
        let opened = async {
            check_tail(self.log.tail().await?, last)?;
            Messages::open(&self.log, last.next(), "").await
        };
        match opened.await {
            Ok(messages) => self.messages = Some(messages),
            Err(ReadError::Unavailable(reason)) if self.failures < ATTEMPTS => {
                if self.failures == 0 {
                    warn!(reason, after = %last, "the log can't be followed for the moment");
                }
                tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(self.failures)).await;
                self.failures += 1;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A position was left out. If the leader has it, it was only lost on the way here: then it is read again.
    async fn confirm_gap(&mut self, found: Position) -> Result<(), ReadError> {
        let expected = self.continuity.last().next();
        if self.log.record_at(expected).await?.is_none() {
            return Err(ReadError::Gap { expected, found });
        }
        warn!(%expected, %found, "a message was lost on the way; it is read again");
        self.close().await;
        Ok(())
    }

    async fn close(&mut self) {
        if let Some(messages) = self.messages.take() {
            messages.close(&self.log).await;
        }
    }
}
