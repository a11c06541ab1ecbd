//! Pages in NATS JetStream, laid out as the key-value bucket `runtime_keys`.
//!
//! It isn't used through the client's key-value API: that reads from any replica, and a key that another process has
//! just made must be found. A page that was replaced is erased at once, so that no former key stays on the disks.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use async_trait::async_trait;
use bytes::Bytes;
use domain::Boundary;
use domain::keyring::KeyringError;
use domain::log::AppendError;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tracing::{debug, warn};

use super::page_store::{PageAddress, PageChange, PageStore, PutError, StoredPage};
use crate::jetstream::publish::{Guard, Publish};
use crate::jetstream::reader::{self, Reader};
use crate::jetstream::stream::{keep_everything, open};
use crate::jetstream::{ConnectError, Connection};

/// The bucket's stream.
const STREAM: &str = "KV_runtime_keys";

/// What the subjects of the bucket begin with.
const PREFIX: &str = "$KV.runtime_keys.";

/// How long a failed attempt to listen waits for the next.
const PAUSE: Duration = Duration::from_millis(500);

/// The key of the check value; no boundary is called so.
const CHECK_VALUE: &str = "check";

/// A [`PageStore`] in NATS JetStream.
#[derive(Clone, Debug)]
pub struct NatsPages {
    connection: Connection,
    stream: Arc<Stream>,
}

fn unavailable(error: impl std::fmt::Display) -> KeyringError {
    KeyringError::Unavailable(format!("NATS, {STREAM}: {error}"))
}

fn subject(address: PageAddress) -> String {
    format!("{PREFIX}{}.{}", address.boundary, address.number)
}

fn address(subject: &str) -> Result<PageAddress, KeyringError> {
    let parse = || {
        let (boundary, number) = subject.strip_prefix(PREFIX)?.rsplit_once('.')?;
        Some(PageAddress {
            boundary: boundary.parse().ok()?,
            number: number.parse().ok()?,
        })
    };
    parse().ok_or_else(|| KeyringError::Damaged(format!("{STREAM} holds `{subject}`, which is no page")))
}

impl NatsPages {
    /// Opens the bucket, or makes it.
    pub async fn open(connection: Connection) -> Result<Self, ConnectError> {
        let config = keep_everything(&connection, STREAM, &format!("{PREFIX}>"));
        let stream = Arc::new(open(&connection, config).await?);
        Ok(Self { connection, stream })
    }

    /// Reads, and asks again what may pass, as long as an answer is waited for.
    async fn patiently<Answer, Reading>(&self, read: impl Fn() -> Reading) -> Result<Answer, KeyringError>
    where
        Reading: Future<Output = Result<Answer, KeyringError>>,
    {
        let passes = |error: &KeyringError| matches!(error, KeyringError::Unavailable(_));
        self.connection.ask(passes, unavailable, read).await
    }

    /// The newest message of a subject, from the leader.
    async fn newest(&self, subject: &str) -> Result<Option<StreamMessage>, KeyringError> {
        self.patiently(|| async {
            match self.stream.get_last_raw_message_by_subject(subject).await {
                Ok(message) => Ok(Some(message)),
                Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
                Err(error) => Err(unavailable(error)),
            }
        })
        .await
    }

    /// The messages from now on.
    async fn new_messages(&self) -> Result<Reader, KeyringError> {
        let wanted = reader::wanted(DeliverPolicy::New, format!("{PREFIX}rt.>"));
        Reader::open(&self.stream, wanted).await.map_err(unavailable)
    }

    /// The next thing that happens to the pages.
    async fn next_change(&self, listening: &mut Option<Reader>) -> PageChange {
        let mut said = false;
        loop {
            let Some(messages) = listening else {
                match self.new_messages().await {
                    Ok(messages) => {
                        *listening = Some(messages);
                        return PageChange::Missed;
                    }
                    Err(error) => {
                        if !said {
                            warn!(%error, "what other processes do to the keys isn't heard for the moment");
                        }
                        said = true;
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                }
            };
            match messages.next().await {
                Ok(message) => match address(&message.subject) {
                    Ok(address) => {
                        let sealed = message.payload.to_vec();
                        return PageChange::Written { address, sealed };
                    }
                    Err(error) => warn!(%error, "a message in the keyring is passed over"),
                },
                Err(interruption) => {
                    debug!(%interruption, "listening to the keyring is interrupted");
                    if let Some(reader) = listening.take() {
                        reader.close(&self.connection.client).await;
                    }
                }
            }
        }
    }

    /// Publishes over the message that it replaces; 0 for none.
    async fn replace(&self, subject: String, replaces: u64, payload: Vec<u8>) -> Result<u64, PutError> {
        let payload = Bytes::from(payload);
        let publish = Publish {
            stream: STREAM,
            subject,
            guard: Guard::Subject(replaces),
            message_id: None,
            payload,
        };
        match self.connection.publish(&self.stream, publish).await {
            Ok(acknowledged) => Ok(acknowledged.sequence),
            Err(AppendError::Conflict) => Err(PutError::Conflict),
            Err(error) => Err(unavailable(error).into()),
        }
    }
}

#[async_trait]
impl PageStore for NatsPages {
    async fn pages(&self, boundary: Boundary) -> Result<Vec<StoredPage>, KeyringError> {
        let mut pages = Vec::new();
        for number in 0.. {
            let Some(message) = self.newest(&subject(PageAddress { boundary, number })).await? else {
                break;
            };
            pages.push(StoredPage {
                revision: message.sequence,
                sealed: message.payload.to_vec(),
            });
        }
        Ok(pages)
    }

    async fn put(&self, address: PageAddress, replaces: u64, sealed: Vec<u8>) -> Result<u64, PutError> {
        let revision = self.replace(subject(address), replaces, sealed).await?;
        if replaces > 0
            && let Err(error) = self.erase_former(address).await
        {
            warn!(%error, "a replaced page of keys isn't erased yet; the next change of that page does it");
        }
        Ok(revision)
    }

    /// Overwrites every former message of the page on the servers' disks and removes it.
    async fn erase_former(&self, address: PageAddress) -> Result<(), KeyringError> {
        let subject = subject(address);
        let Some(newest) = self.newest(&subject).await? else {
            return Ok(());
        };
        loop {
            let first = || async {
                let first = self.stream.get_first_raw_message_by_subject(&subject, 1);
                first.await.map_err(unavailable)
            };
            let first = self.patiently(first).await?;
            if first.sequence >= newest.sequence {
                return Ok(());
            }
            // Not asked again as it is: a message that is gone already is an error.
            self.stream
                .delete_message(first.sequence)
                .await
                .map_err(unavailable)?;
        }
    }

    fn changes(&self) -> BoxStream<'static, PageChange> {
        let listener = (self.clone(), None);
        stream::unfold(listener, |(pages, mut listening)| async move {
            let change = pages.next_change(&mut listening).await;
            Some((change, (pages, listening)))
        })
        .boxed()
    }

    async fn addresses(&self) -> Result<Vec<PageAddress>, KeyringError> {
        let subjects = || async {
            let subjects = self.stream.info_with_subjects(format!("{PREFIX}rt.>")).await;
            let subjects = subjects.map_err(unavailable)?.map_ok(|(subject, _)| subject);
            subjects.try_collect::<Vec<_>>().await.map_err(unavailable)
        };
        let subjects = self.patiently(subjects).await?;
        let mut addresses = subjects
            .iter()
            .map(|subject| address(subject))
            .collect::<Result<Vec<_>, _>>()?;
        addresses.sort_unstable();
        Ok(addresses)
    }

    async fn check_value(&self) -> Result<Option<Vec<u8>>, KeyringError> {
        let newest = self.newest(&format!("{PREFIX}{CHECK_VALUE}")).await?;
        Ok(newest.map(|message| message.payload.to_vec()))
    }

    async fn offer_check_value(&self, sealed: Vec<u8>) -> Result<(), KeyringError> {
        match self.replace(format!("{PREFIX}{CHECK_VALUE}"), 0, sealed).await {
            Ok(_) | Err(PutError::Conflict) => Ok(()),
            Err(PutError::Failed(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_back_from_its_subject() {
        let page = PageAddress {
            boundary: Boundary::System,
            number: 12,
        };
        assert_eq!(address(&subject(page)), Ok(page));
        assert!(address("$KV.runtime_keys.check").is_err());
    }
}
