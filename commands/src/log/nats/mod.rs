//! The log of many machines: the stream `RUNTIME_EVENTS` in NATS JetStream, one literal subject per boundary.
//!
//! Guards are JetStream's expected last sequence of the subject. Everything that decides something is read from the
//! stream's leader, as long as it is known to lead ([`quorum`]); [`follow`] and [`boundary`] read with consumers, which may run on any replica, and check what
//! they get against positions.

mod boundary;
mod copies;
mod follow;
mod quorum;
mod watch;

use std::sync::Arc;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Config, Info, LastRawMessageErrorKind, RawMessageError, Stream};
use async_trait::async_trait;
use bytes::Bytes;
use domain::health::Health;
use domain::log::{AppendError, Placed, ReadError};
use domain::{Boundary, CommitId, EventLog, Expected, Position, Record, Timestamp};
use futures::FutureExt;
use futures::stream::BoxStream;

use self::quorum::Quorum;
use super::invariants::check_size;
use crate::jetstream::publish::{Guard, Publish};
use crate::jetstream::stream::{keep_everything, open};
use crate::jetstream::{ConnectError, Connection};

/// The stream's name.
const STREAM: &str = "RUNTIME_EVENTS";

/// The subjects of all boundaries.
const SUBJECTS: &str = "rt.>";

/// An [`EventLog`] in NATS JetStream.
#[derive(Clone, Debug)]
pub struct NatsLog {
    connection: Connection,
    stream: Arc<Stream>,
    quorum: Arc<Quorum>,
}

fn unavailable(error: impl std::fmt::Display) -> ReadError {
    ReadError::Unavailable(format!("NATS: {error}"))
}

/// The record that a message of the stream holds.
fn record(sequence: u64, subject: &str, bytes: Bytes) -> Result<Record, ReadError> {
    let position = Position(sequence);
    let boundary = subject
        .parse()
        .map_err(|error| ReadError::Damaged(format!("position {position}: {error}")))?;
    Ok(Record {
        position,
        boundary,
        bytes,
    })
}

/// The record a leader read found, `None` if there is no such message.
fn found(answer: Result<StreamMessage, RawMessageError>) -> Result<Option<Record>, ReadError> {
    match answer {
        Ok(message) => record(message.sequence, &message.subject, message.payload).map(Some),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

impl NatsLog {
    /// Opens the stream, or makes it. One that could forget or lose a message is refused with the reason.
    pub async fn open(connection: Connection) -> Result<Self, ConnectError> {
        let max_bytes = connection
            .options
            .max_bytes
            .and_then(|bytes| i64::try_from(bytes).ok());
        let config = Config {
            deny_delete: true,
            deny_purge: true,
            max_bytes: max_bytes.unwrap_or(-1),
            ..keep_everything(&connection, STREAM, SUBJECTS)
        };
        let stream = Arc::new(open(&connection, config).await?);
        Ok(Self {
            connection,
            stream,
            quorum: Arc::default(),
        })
    }

    /// Watches the stream's leader and copies, raises what isn't well, and leaves a server that can't reach the leader for another one;
    /// never returns.
    pub async fn watch(self, health: Arc<dyn Health>) {
        watch::watch(&self, &*health).await;
    }

    /// A text that stays the same as long as this is the same stream; one that was made again has another one.
    pub fn identity(&self) -> String {
        self.stream
            .cached_info()
            .created
            .unix_timestamp_nanos()
            .to_string()
    }

    /// When the stream was made.
    pub fn created_at(&self) -> Timestamp {
        let milliseconds = self.stream.cached_info().created.unix_timestamp_nanos() / 1_000_000;
        Timestamp(i64::try_from(milliseconds).unwrap_or(i64::MAX))
    }

    /// Reads, and asks again what may pass, as long as an answer is waited for.
    async fn patiently<Answer, Reading>(&self, read: impl Fn() -> Reading) -> Result<Answer, ReadError>
    where
        Reading: Future<Output = Result<Answer, ReadError>>,
    {
        let passes = |error: &ReadError| matches!(error, ReadError::Unavailable(_));
        self.connection.ask(passes, unavailable, read).await
    }

    /// The last position, if this is still the stream that was opened and nothing is missing in it.
    async fn checked_tail(&self) -> Result<Position, ReadError> {
        let info = self.stream.get_info().await.map_err(unavailable)?;
        self.checked_position(&info)
    }

    /// The last position by what the leader says of the stream.
    fn checked_position(&self, info: &Info) -> Result<Position, ReadError> {
        if info.created != self.stream.cached_info().created {
            return Err(ReadError::Damaged(format!(
                "the stream {STREAM} was deleted and made again at {}; restore it from an export",
                info.created
            )));
        }
        let state = &info.state;
        if state.messages != state.last_sequence {
            return Err(ReadError::Damaged(format!(
                "the stream {STREAM} holds {} messages, but its last position is {}; restore it from an export",
                state.messages, state.last_sequence
            )));
        }
        Ok(Position(state.last_sequence))
    }

    /// Whether the record that the server calls a duplicate really is this one.
    async fn confirm_duplicate(
        &self,
        at: Position,
        boundary: Boundary,
        bytes: &Bytes,
    ) -> Result<Position, AppendError> {
        match self.record_at(at).await {
            Ok(Some(stored)) if stored.boundary == boundary && stored.bytes == bytes => Ok(at),
            Ok(_) => Err(AppendError::Refused(
                "its commit id was used for another record".to_owned(),
            )),
            Err(error) => Err(AppendError::Unknown(error.to_string())),
        }
    }
}

#[async_trait]
impl EventLog for NatsLog {
    async fn append(
        &self,
        boundary: Boundary,
        expected: Expected,
        id: CommitId,
        bytes: Bytes,
    ) -> Result<Position, AppendError> {
        check_size(bytes.len(), self.record_limit())?;
        let publish = Publish {
            stream: STREAM,
            subject: boundary.subject(),
            guard: Guard::Subject(expected.sequence()),
            message_id: Some(id.to_string()),
            payload: bytes.clone(),
        };
        let published = self.connection.publish(&self.stream, publish).await;
        // Whoever appends asks again until the answer is definite, so that this is up to date.
        match &published {
            Err(AppendError::Unknown(reason)) => self.connection.standing.published(Some(reason.clone())),
            Err(AppendError::Away(_)) => {}
            _ => self.connection.standing.published(None),
        }
        let acknowledged = published?;
        let position = Position(acknowledged.sequence);
        if acknowledged.duplicate {
            return self.confirm_duplicate(position, boundary, &bytes).await;
        }
        Ok(position)
    }

    async fn append_at(&self, records: Vec<Placed>) -> Result<(), AppendError> {
        let publish = |placed: Placed| Publish {
            stream: STREAM,
            subject: placed.record.boundary.subject(),
            guard: Guard::Stream(placed.record.position.0 - 1),
            message_id: Some(placed.id.to_string()),
            payload: placed.record.bytes,
        };
        self.connection
            .publish_in_order(records.into_iter().map(publish).collect())
            .await
    }

    fn follow(&self, after: Position) -> BoxStream<'static, Result<Record, ReadError>> {
        follow::follow(self.clone(), after)
    }

    fn read_boundary(
        &self,
        boundary: Boundary,
        after: Position,
    ) -> BoxStream<'static, Result<Record, ReadError>> {
        boundary::read(self.clone(), boundary, after)
    }

    async fn record_at(&self, position: Position) -> Result<Option<Record>, ReadError> {
        if position == Position::START {
            return Ok(None);
        }
        let read = || self.stream.get_raw_message(position.0).map(found);
        self.patiently(read).await
    }

    async fn tail(&self) -> Result<Position, ReadError> {
        self.patiently(|| self.quorum.vouched(&self.stream, || self.checked_tail()))
            .await
    }

    async fn boundary_tail(&self, boundary: Boundary) -> Result<Option<Position>, ReadError> {
        let subject = boundary.subject();
        let last = || self.stream.get_last_raw_message_by_subject(&subject).map(found);
        let last = self.patiently(|| self.quorum.vouched(&self.stream, last)).await?;
        Ok(last.map(|record| record.position))
    }
}
