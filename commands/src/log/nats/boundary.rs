//! Reading one boundary up to what the leader holds at the call: a few records one by one, many with a consumer.

use domain::log::ReadError;
use domain::{Boundary, EventLog, Position, Record};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tracing::debug;

use super::follow::{Messages, position};
use super::{NatsLog, found, record};

/// So many records are read one by one from the leader, which is what catching up after a conflict needs. A consumer
/// costs as much as about this many reads before it delivers the first.
const SINGLE_READS: u32 = 8;

/// How often a consumer is made for one record before the log counts as unavailable.
const ATTEMPTS: u32 = 4;

/// Reads one boundary after a position.
pub(super) fn read(
    log: NatsLog,
    boundary: Boundary,
    after: Position,
) -> BoxStream<'static, Result<Record, ReadError>> {
    let reading = Reading {
        log,
        boundary,
        last: after,
        end: None,
        single_reads: 0,
        messages: None,
    };
    stream::unfold(Some(reading), |reading| async {
        let mut reading = reading?;
        match reading.next().await {
            Ok(Some(record)) => Some((Ok(record), Some(reading))),
            Ok(None) => {
                reading.close().await;
                None
            }
            Err(error) => {
                reading.close().await;
                Some((Err(error), None))
            }
        }
    })
    .boxed()
}

/// How far one reading has come.
struct Reading {
    log: NatsLog,
    boundary: Boundary,
    last: Position,
    /// The boundary's last position when the reading began.
    end: Option<Position>,
    single_reads: u32,
    messages: Option<Messages>,
}

impl Reading {
    /// The boundary's next record, `None` after the last.
    async fn next(&mut self) -> Result<Option<Record>, ReadError> {
        let end = match self.end {
            Some(end) => end,
            None => self
                .log
                .boundary_tail(self.boundary)
                .await?
                .unwrap_or(Position::START),
        };
        self.end = Some(end);
        if self.last >= end {
            return Ok(None);
        }
        let record = if self.single_reads < SINGLE_READS {
            self.single_reads += 1;
            self.read_one().await?
        } else {
            self.receive().await?
        };
        if record.position > end {
            return Err(ReadError::Damaged(format!(
                "{} has no record between {} and {}, but its last was at {end}",
                self.boundary, self.last, record.position
            )));
        }
        self.last = record.position;
        Ok(Some(record))
    }

    /// The next record, from the leader.
    async fn read_one(&self) -> Result<Record, ReadError> {
        let subject = self.boundary.subject();
        let next = || async {
            let next = self.log.stream.raw_message_builder().sequence(self.last.next().0);
            found(next.next_by_subject(subject.as_str()).send().await)
        };
        self.log.patiently(next).await?.ok_or_else(|| {
            ReadError::Damaged(format!(
                "{} ends at {}, but had more records before",
                self.boundary, self.last
            ))
        })
    }

    /// The next record, from a consumer, which is made again after an interruption.
    async fn receive(&mut self) -> Result<Record, ReadError> {
        let mut attempts = 0;
        loop {
            let interruption = match self.receive_once().await {
                Err(ReadError::Unavailable(reason)) => reason,
                definite => return definite,
            };
            self.close().await;
            attempts += 1;
            if attempts == ATTEMPTS {
                let boundary = self.boundary;
                return Err(ReadError::Unavailable(format!(
                    "reading {boundary} was interrupted: {interruption}"
                )));
            }
            debug!(boundary = %self.boundary, interruption, "reading is interrupted");
        }
    }

    async fn close(&mut self) {
        if let Some(messages) = self.messages.take() {
            messages.close(&self.log).await;
        }
    }

    async fn receive_once(&mut self) -> Result<Record, ReadError> {
        let messages = match &mut self.messages {
            Some(messages) => messages,
            None => {
                let subject = self.boundary.subject();
                let opened = Messages::open(&self.log, self.last.next(), &subject).await?;
                self.messages.insert(opened)
            }
        };
        let message = messages.next().await?;
        record(position(&message)?.0, &message.subject, message.payload.clone())
    }
}
