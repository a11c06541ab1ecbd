//! A guarded publish: stored only if the subject's last message is the expected one.

use async_nats::jetstream::ErrorCode;
use async_nats::{HeaderMap, Request, header};
use bytes::Bytes;
use domain::log::AppendError;
use serde::Deserialize;

use super::connection::Connection;

/// What is published and under which guard.
#[derive(Clone, Debug)]
pub(crate) struct Publish<'a> {
    pub(crate) stream: &'a str,
    pub(crate) subject: String,
    /// The sequence number of the subject's last message; 0 for none.
    pub(crate) expected: u64,
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

impl Connection {
    /// Publishes and waits for the answer. Everything that isn't one for certain is `Unknown`.
    pub(crate) async fn publish(&self, publish: Publish<'_>) -> Result<Acknowledged, AppendError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::NATS_EXPECTED_STREAM, publish.stream);
        headers.insert(
            header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
            publish.expected.to_string(),
        );
        if let Some(id) = publish.message_id {
            headers.insert(header::NATS_MESSAGE_ID, id);
        }
        let request = Request::new()
            .headers(headers)
            .payload(publish.payload)
            .timeout(Some(self.options.timeout));
        let answered = self.client.send_request(publish.subject, request).await;
        let message = answered.map_err(|error| AppendError::Unknown(format!("NATS: {error}")))?;
        let unreadable = |error| AppendError::Unknown(format!("NATS answered something unreadable: {error}"));
        let answer: Answer = serde_json::from_slice(&message.payload).map_err(unreadable)?;
        match answer.error {
            Some(refusal) => Err(refusal.meaning()),
            None if answer.seq > publish.expected => Ok(Acknowledged {
                sequence: answer.seq,
                duplicate: answer.duplicate,
            }),
            None => Err(AppendError::Unknown(format!(
                "NATS acknowledged position {} after {}",
                answer.seq, publish.expected
            ))),
        }
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
