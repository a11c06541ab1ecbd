//! Following all boundaries: one unfiltered pull consumer, made again after every interruption, its positions checked.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::message::Message;
use domain::log::ReadError;
use domain::{EventLog, Position, Record};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tracing::{debug, warn};

use super::{NatsLog, record, unavailable};
use crate::log::invariants::{Continuity, check_tail};

/// How many messages one pull asks for.
const PULL_MESSAGES: usize = 2_000;

/// How many bytes one pull asks for: what a slow reader holds in memory at most, about twice.
const PULL_BYTES: usize = 16 * 1024 * 1024;

/// How often the server says that it is still there. Two of these without a sign and the consumer is made again, so this
/// decides how long reads wait after a NATS server was lost, with the consumers it held in memory.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// After how long without a reader the server forgets a consumer.
const INACTIVE: Duration = Duration::from_secs(60);

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

/// Messages of the stream from a position on, of all subjects or of one (`filter`).
pub(super) async fn messages(
    log: &NatsLog,
    first: Position,
    filter: &str,
) -> Result<pull::Stream, ReadError> {
    let config = Config {
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: first.0,
        },
        ack_policy: AckPolicy::None,
        replay_policy: ReplayPolicy::Instant,
        filter_subject: filter.to_owned(),
        inactive_threshold: INACTIVE,
        memory_storage: true,
        num_replicas: 1,
        ..Config::default()
    };
    let consumer = log.stream.create_consumer(config).await.map_err(unavailable)?;
    let pulls = consumer
        .stream()
        .max_messages_per_batch(PULL_MESSAGES)
        .max_bytes_per_batch(PULL_BYTES);
    pulls.heartbeat(HEARTBEAT).messages().await.map_err(unavailable)
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
    messages: Option<pull::Stream>,
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
                Some(Ok(message)) => {
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
                interrupted => {
                    debug!(?interrupted, after = %self.continuity.last(), "following is interrupted");
                    self.messages = None;
                }
            }
        }
    }

    /// Makes a consumer after the last record; checks first that the log still holds that one.
    async fn reconnect(&mut self) -> Result<(), ReadError> {
        let last = self.continuity.last();
        let opened = async {
            check_tail(self.log.tail().await?, last)?;
            messages(&self.log, last.next(), "").await
        };
        match opened.await {
            Ok(messages) => self.messages = Some(messages),
            Err(ReadError::Unavailable(reason)) if self.failures < ATTEMPTS => {
                warn!(reason, after = %last, "the log can't be followed for the moment");
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
        self.messages = None;
        Ok(())
    }
}
