//! Following all boundaries: one unfiltered pull consumer, made again after every interruption, its positions checked.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy};
use async_nats::jetstream::message::Message;
use domain::log::ReadError;
use domain::{EventLog, Position, Record};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tracing::{debug, warn};
use uuid::Builder;

use super::{NatsLog, STREAM, record, unavailable};
use crate::entropy;
use crate::log::invariants::{Continuity, check_tail};

/// How many messages one pull asks for.
const PULL_MESSAGES: usize = 2_000;

/// How many bytes one pull asks for: what a slow reader holds in memory at most, about twice.
const PULL_BYTES: usize = 16 * 1024 * 1024;

/// How often the server says that it is still there. Two of these without a sign and the consumer is made again, so this
/// decides how long reads wait after a NATS server was lost, with the consumers it held in memory.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// After how long without a reader the server forgets a consumer that nobody has removed.
const INACTIVE: Duration = Duration::from_secs(30);

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
    consumer: String,
    pulls: pull::Stream,
}

impl Messages {
    /// Makes a consumer. Its name is chosen here: asking again for the same one makes no second one.
    pub(super) async fn open(log: &NatsLog, first: Position, filter: &str) -> Result<Self, ReadError> {
        let mut name = [0; 16];
        entropy::fill(&mut name);
        let config = Config {
            name: Some(format!("reader-{}", Builder::from_random_bytes(name).into_uuid())),
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
        let create = || async {
            let consumer = log.stream.create_consumer(config.clone()).await;
            consumer.map_err(unavailable)
        };
        let consumer = log.patiently(create).await?;
        let pulls = consumer
            .stream()
            .max_messages_per_batch(PULL_MESSAGES)
            .max_bytes_per_batch(PULL_BYTES);
        Ok(Self {
            consumer: consumer.cached_info().name.clone(),
            pulls: pulls.heartbeat(HEARTBEAT).messages().await.map_err(unavailable)?,
        })
    }

    /// The next message, waiting for it if there is none yet.
    pub(super) async fn next(&mut self) -> Result<Message, ReadError> {
        match self.pulls.try_next().await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(unavailable("the consumer ended")),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Has the servers forget the consumer, without waiting for it. One that went with its server would stay known to the others, which
    /// call that server unhealthy for want of it.
    pub(super) async fn close(self, log: &NatsLog) {
        let subject = format!("$JS.API.CONSUMER.DELETE.{STREAM}.{}", self.consumer);
        if let Err(error) = log.connection.client.publish(subject, "".into()).await {
            debug!(%error, consumer = self.consumer, "a consumer is left to be forgotten");
        }
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
