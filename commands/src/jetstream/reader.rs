//! Reading a stream's messages in order as they come: a pull consumer for one reader, on one of the servers.

use std::fmt::Display;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::consumer::pull::{self, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::message::Message;
use async_nats::jetstream::stream::Stream;
use futures::TryStreamExt as _;
use tracing::debug;
use uuid::Builder;

use crate::entropy;

/// How many messages one pull asks for.
const PULL_MESSAGES: usize = 2_000;

/// How many bytes one pull asks for: what a slow reader holds in memory at most, about twice.
const PULL_BYTES: usize = 16 * 1024 * 1024;

/// How often the server says that it is still there. Two of these without a sign and the reading is interrupted, so this
/// decides how long reads wait after a NATS server was lost, with the consumers it held in memory.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// After how long without a reader the server forgets a consumer that nobody has removed.
const INACTIVE: Duration = Duration::from_secs(30);

/// What is read, under a name of its own: asking again for the same one makes no second consumer.
pub(crate) fn wanted(from: DeliverPolicy, subject: String) -> Config {
    let mut name = [0; 16];
    entropy::fill(&mut name);
    Config {
        name: Some(format!("reader-{}", Builder::from_random_bytes(name).into_uuid())),
        deliver_policy: from,
        ack_policy: AckPolicy::None,
        filter_subject: subject,
        inactive_threshold: INACTIVE,
        memory_storage: true,
        num_replicas: 1,
        ..Config::default()
    }
}

/// One reader. Whoever gives it up calls [`Reader::close`].
pub(crate) struct Reader {
    stream: String,
    consumer: String,
    pulls: pull::Stream,
}

impl Reader {
    /// Begins to read.
    pub(crate) async fn open(stream: &Stream, wanted: Config) -> Result<Self, async_nats::Error> {
        let consumer = stream.create_consumer(wanted).await?;
        let pulls = consumer
            .stream()
            .max_messages_per_batch(PULL_MESSAGES)
            .max_bytes_per_batch(PULL_BYTES)
            .heartbeat(HEARTBEAT);
        Ok(Self {
            stream: consumer.cached_info().stream_name.clone(),
            consumer: consumer.cached_info().name.clone(),
            pulls: pulls.messages().await?,
        })
    }

    /// The next message, waiting for it if there is none yet; or what interrupts the reading for good.
    pub(crate) async fn next(&mut self) -> Result<Message, impl Display + use<>> {
        match self.pulls.try_next().await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err("the consumer ended".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Has the servers forget the consumer, without waiting for it. One that went with its server would stay known to the others, which
    /// call that server unhealthy for want of it.
    pub(crate) async fn close(self, client: &Client) {
        let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", self.stream, self.consumer);
        if let Err(error) = client.publish(subject, "".into()).await {
            debug!(%error, consumer = self.consumer, "a consumer is left to be forgotten");
        }
    }
}
