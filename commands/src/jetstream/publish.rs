//! A guarded publish: stored only if the subject's last message is the expected one.

use std::collections::BTreeMap;

use async_nats::jetstream::ErrorCode;
use async_nats::{HeaderMap, Request, header};
use bytes::Bytes;
use domain::log::AppendError;
use futures::StreamExt;
use serde::Deserialize;

use super::connection::Connection;

/// What must be the last message, by its sequence number; 0 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// The last one of the same subject.
    Subject(u64),
    /// The last one of the whole stream: this message gets the next number or is refused.
    Stream(u64),
}

/// What is published and under which guard.
#[derive(Clone, Debug)]
pub(crate) struct Publish<'a> {
    pub(crate) stream: &'a str,
    pub(crate) subject: String,
    pub(crate) guard: Guard,
    /// Makes a repeat recognizable to people and, for a while, to the server.
    pub(crate) message_id: Option<String>,
    pub(crate) payload: Bytes,
}

/// The server has stored the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) sequence: u64,
    /// A message with this id was there before.
    pub(crate) duplicate: bool,
}

/// The server's answer to a publish.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    #[serde(rename = "err_code")]
    code: ErrorCode,
    #[serde(default)]
    description: String,
}

impl Publish<'_> {
    /// The sequence number that the guard expects.
    const fn expected(&self) -> u64 {
        match self.guard {
            Guard::Subject(last) | Guard::Stream(last) => last,
        }
    }

    fn headers(&self) -> HeaderMap {
        let guard = match self.guard {
            Guard::Subject(_) => header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
            Guard::Stream(_) => header::NATS_EXPECTED_LAST_SEQUENCE,
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_EXPECTED_STREAM, self.stream);
        headers.insert(guard, self.expected().to_string());
        if let Some(id) = &self.message_id {
            headers.insert(header::NATS_MESSAGE_ID, id.as_str());
        }
        headers
    }
}

impl Connection {
    /// Publishes and waits for the answer. Everything that isn't one for certain is `Unknown`.
    pub(crate) async fn publish(&self, publish: Publish<'_>) -> Result<Acknowledged, AppendError> {
        let (headers, expected) = (publish.headers(), publish.expected());
        let request = Request::new()
            .headers(headers)
            .payload(publish.payload)
            .timeout(Some(self.options.timeout));
        let answer = self
            .client
            .send_request(publish.subject, request)
            .await
            .map_err(unknown)?;
        read_answer(&answer.payload, expected)
    }

    /// Publishes messages in their order without waiting for each answer, then waits for all of them. The error is the
    /// one of the first message that has one.
    pub(crate) async fn publish_in_order(&self, messages: Vec<Publish<'_>>) -> Result<(), AppendError> {
        let inbox = self.client.new_inbox();
        let mut answers = self
            .client
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(unknown)?;
        let mut waiting = BTreeMap::new();
        for publish in messages {
            let (headers, expected) = (publish.headers(), publish.expected());
            let reply = format!("{inbox}.{expected}");
            waiting.insert(reply.clone(), expected);
            let sent =
                self.client
                    .publish_with_reply_and_headers(publish.subject, reply, headers, publish.payload);
            sent.await.map_err(unknown)?;
        }
        let mut failure = None;
        while !waiting.is_empty() {
            let answer = tokio::time::timeout(self.options.timeout, answers.next())
                .await
                .map_err(unknown)?;
            let answer = answer.ok_or_else(|| unknown("the connection was closed"))?;
            let Some(expected) = waiting.remove(answer.subject.as_str()) else {
                continue;
            };
            if let Err(error) = read_answer(&answer.payload, expected)
                && failure.as_ref().is_none_or(|(first, _)| expected < *first)
            {
                failure = Some((expected, error));
            }
        }
        failure.map_or(Ok(()), |(_, error)| Err(error))
    }
}

fn unknown(error: impl std::fmt::Display) -> AppendError {
    AppendError::Unknown(format!("NATS: {error}"))
}

/// What the server says of a message that was guarded by `expected`.
fn read_answer(payload: &[u8], expected: u64) -> Result<Acknowledged, AppendError> {
    let answer: Answer = serde_json::from_slice(payload).map_err(unknown)?;
    match answer.error {
        Some(refusal) => Err(refusal.meaning()),
        None if answer.seq > expected => Ok(Acknowledged {
            sequence: answer.seq,
            duplicate: answer.duplicate,
        }),
        None => Err(unknown(format!(
            "position {} acknowledged after {expected}",
            answer.seq
        ))),
    }
}

impl Refusal {
    /// What the server's error code means for the message. Only codes that are given before anything is stored are
    /// definite (`server/errors.json` of nats-server).
    fn meaning(self) -> AppendError {
        let text = format!("{} ({})", self.description, self.code.0);
        match self.code {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
                AppendError::Conflict
            }
            ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::MEMORY_RESOURCES_EXCEEDED => AppendError::Full(text),
            ErrorCode::STREAM_STORE_FAILED if self.description.contains("maximum bytes exceeded") => {
                AppendError::Full(text)
            }
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM
            | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM
            | ErrorCode::STREAM_NOT_MATCH
            | ErrorCode::STREAM_SEALED => AppendError::Refused(text),
            _ => AppendError::Unknown(format!("NATS: {text}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(code: u64, description: &str) -> AppendError {
        Refusal {
            code: ErrorCode(code),
            description: description.to_owned(),
        }
        .meaning()
    }

    #[test]
    fn both_codes_of_a_lost_race_are_conflicts() {
        assert_eq!(meaning(10071, "wrong last sequence: 7"), AppendError::Conflict);
        assert_eq!(meaning(10164, "wrong last sequence"), AppendError::Conflict);
    }

    #[test]
    fn a_full_store_is_full_whichever_limit_it_reached() {
        for code in [10002, 10023, 10028, 10047] {
            assert!(
                matches!(meaning(code, "exceeded"), AppendError::Full(_)),
                "{code}"
            );
        }
        assert!(matches!(
            meaning(10077, "maximum bytes exceeded"),
            AppendError::Full(_)
        ));
    }

    #[test]
    fn what_might_be_stored_after_all_is_unknown() {
        for (code, description) in [
            (10077, "write failed"),
            (10008, "unavailable"),
            (10158, "in process"),
            (10167, "busy"),
        ] {
            assert!(
                matches!(meaning(code, description), AppendError::Unknown(_)),
                "{code}"
            );
        }
    }
}
