//! A guarded publish: stored only if the subject's last message is the expected one. The guard and the message stay the same at each try,
//! so that trying again stores it once at most.

use std::collections::BTreeMap;

use async_nats::connection::State;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_nats::{HeaderMap, Request, RequestErrorKind, header};
use bytes::Bytes;
use domain::log::AppendError;
use futures::StreamExt;
use serde::Deserialize;

use super::connection::Connection;
use super::patience::Patience;

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

/// What one try met instead of an acknowledgement.
#[derive(Debug, PartialEq)]
enum Obstacle {
    /// The guard doesn't hold at the server that was asked: the last sequence number there, unless a message is on its way.
    Guard { last: Option<u64> },
    /// Anything else.
    Other(AppendError),
}

impl From<AppendError> for Obstacle {
    fn from(error: AppendError) -> Self {
        Self::Other(error)
    }
}

impl From<Obstacle> for AppendError {
    fn from(met: Obstacle) -> Self {
        match met {
            Obstacle::Guard { .. } => Self::Conflict,
            Obstacle::Other(error) => error,
        }
    }
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
    /// Publishes, again and again while that may help, as long as an answer is waited for. A guard that doesn't hold needn't be a conflict:
    /// an earlier try whose outcome isn't known may have stored the message itself, and a server that has just become the leader
    /// may not have read as far as the guard yet. Then it is looked whose message won, if any.
    pub(crate) async fn publish(
        &self,
        stream: &Stream,
        publish: Publish<'_>,
    ) -> Result<Acknowledged, AppendError> {
        let limit = self.patience();
        if limit.is_zero() {
            let trouble = self.standing.trouble().unwrap_or_default();
            return Err(AppendError::Away(trouble));
        }
        let mut patience = Patience::new(limit);
        // What the tries have met that may have stored the message after all.
        let mut doubt = None;
        let mut refusal = None;
        let mut up_to_date = false;
        loop {
            let tried = tokio::time::timeout_at(patience.until(), self.try_publish(publish.clone()));
            let met = match tried.await {
                Ok(Ok(acknowledged)) => return Ok(acknowledged),
                Ok(Err(met)) => met,
                Err(late) => unknown(late).into(),
            };
            match met {
                Obstacle::Guard { last }
                    if doubt.is_none() && (last > Some(publish.expected()) || up_to_date) =>
                {
                    return Err(AppendError::Conflict);
                }
                Obstacle::Guard { .. } => match winner(stream, &publish).await {
                    Ok(Winner::This(acknowledged)) => return Ok(acknowledged),
                    Ok(Winner::Another) => return Err(AppendError::Conflict),
                    Ok(Winner::None { up_to_date: so }) => {
                        up_to_date = so;
                        refusal = Some(AppendError::Conflict);
                    }
                    Err(reason) => refusal = Some(AppendError::Away(reason)),
                },
                Obstacle::Other(AppendError::Unknown(reason)) => doubt = Some(reason),
                Obstacle::Other(error @ AppendError::Away(_)) => refusal = Some(error),
                Obstacle::Other(_) if doubt.is_some() => {}
                Obstacle::Other(definite) => return Err(definite),
            }
            if !patience.rest().await {
                return Err(match (doubt, refusal, self.standing.trouble()) {
                    (Some(_), _, Some(trouble)) => AppendError::Unknown(trouble),
                    (Some(reason), _, None) => AppendError::Unknown(reason),
                    (None, _, Some(trouble)) => AppendError::Away(trouble),
                    (None, Some(refusal), None) => refusal,
                    (None, None, None) => AppendError::Away("NATS: it doesn't answer in time".to_owned()),
                });
            }
        }
    }

    /// Publishes once and waits for the answer. Everything that isn't one for certain is `Unknown`.
    async fn try_publish(&self, publish: Publish<'_>) -> Result<Acknowledged, Obstacle> {
        if self.client.connection_state() != State::Connected {
            // The client would keep it and send it later.
            let servers = self.servers();
            return Err(AppendError::Away(format!("NATS: not connected to {servers}")).into());
        }
        let (headers, expected) = (publish.headers(), publish.expected());
        let request = Request::new()
            .headers(headers)
            .payload(publish.payload)
            .timeout(Some(self.options.try_timeout()));
        let answer = self.client.send_request(publish.subject, request).await;
        let answer = answer.map_err(|error| match error.kind() {
            // The server has handed it to nobody.
            RequestErrorKind::NoResponders => AppendError::Away(format!("NATS: {error}")),
            _ => unknown(error),
        })?;
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
            if let Err(met) = read_answer(&answer.payload, expected)
                && failure.as_ref().is_none_or(|(first, _)| expected < *first)
            {
                failure = Some((expected, met));
            }
        }
        failure.map_or(Ok(()), |(_, met)| Err(met.into()))
    }
}

/// Whose message stands after a publish's guard.
enum Winner {
    This(Acknowledged),
    Another,
    /// Nobody's: the conflict is with a message that is on its way, or the server hasn't read as far as the guard.
    None {
        up_to_date: bool,
    },
}

/// Looks whose message stands after a publish's guard; an error if that can't be seen.
async fn winner(stream: &Stream, publish: &Publish<'_>) -> Result<Winner, String> {
    let unseen = |error: &dyn std::fmt::Display| format!("NATS: {error}");
    let next = stream.raw_message_builder().sequence(publish.expected() + 1);
    let next = match publish.guard {
        Guard::Subject(_) => next.next_by_subject(publish.subject.as_str()).send().await,
        Guard::Stream(_) => next.send().await,
    };
    match next {
        Ok(found) if found.payload == publish.payload && found.subject.as_str() == publish.subject => {
            Ok(Winner::This(Acknowledged {
                sequence: found.sequence,
                duplicate: false,
            }))
        }
        Ok(_) => Ok(Winner::Another),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
            let info = stream.get_info().await.map_err(|error| unseen(&error))?;
            let up_to_date = info.state.last_sequence >= publish.expected();
            Ok(Winner::None { up_to_date })
        }
        Err(error) => Err(unseen(&error)),
    }
}

fn unknown(error: impl std::fmt::Display) -> AppendError {
    AppendError::Unknown(format!("NATS: {error}"))
}

/// What the server says of a message that was guarded by `expected`.
fn read_answer(payload: &[u8], expected: u64) -> Result<Acknowledged, Obstacle> {
    let answer: Answer = serde_json::from_slice(payload).map_err(unknown)?;
    match answer.error {
        Some(refusal) => Err(refusal.meaning()),
        None if answer.seq > expected => Ok(Acknowledged {
            sequence: answer.seq,
            duplicate: answer.duplicate,
        }),
        None => Err(unknown(format!("position {} acknowledged after {expected}", answer.seq)).into()),
    }
}

impl Refusal {
    /// What the server's error code means for the message. Only codes that are given before anything is stored are
    /// definite (`server/errors.json` of nats-server).
    fn meaning(self) -> Obstacle {
        let text = format!("{} ({})", self.description, self.code.0);
        let error = match self.code {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
                let last = self.description.rsplit(' ').next();
                let last = last.and_then(|last| last.parse().ok());
                return Obstacle::Guard { last };
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
        };
        error.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(code: u64, description: &str) -> Obstacle {
        Refusal {
            code: ErrorCode(code),
            description: description.to_owned(),
        }
        .meaning()
    }

    #[test]
    fn both_codes_of_a_guard_that_does_not_hold_are_known() {
        assert_eq!(
            meaning(10071, "wrong last sequence: 7"),
            Obstacle::Guard { last: Some(7) }
        );
        assert_eq!(
            meaning(10164, "wrong last sequence"),
            Obstacle::Guard { last: None }
        );
    }

    #[test]
    fn a_full_store_is_full_whichever_limit_it_reached() {
        for code in [10002, 10023, 10028, 10047] {
            assert!(
                matches!(meaning(code, "exceeded"), Obstacle::Other(AppendError::Full(_))),
                "{code}"
            );
        }
        assert!(matches!(
            meaning(10077, "maximum bytes exceeded"),
            Obstacle::Other(AppendError::Full(_))
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
                matches!(
                    meaning(code, description),
                    Obstacle::Other(AppendError::Unknown(_))
                ),
                "{code}"
            );
        }
    }
}
