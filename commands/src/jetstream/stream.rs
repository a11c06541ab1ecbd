//! The streams: made once as they must be; an existing one that could forget or lose is refused.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, PersistenceMode, RetentionPolicy, StorageType, Stream,
};
use tracing::warn;

use super::connection::{ConnectError, Connection};
use super::{leader, patience};

/// The metadata entry with the version of what the stream holds.
const FORMAT_KEY: &str = "runtime-manager.format";

/// How long opening a stream waits for a leader with a majority: some elections, which servers that start together may need.
const OPENING: Duration = Duration::from_secs(30);

/// The version of what the streams hold.
const FORMAT: &str = "1";

/// The configuration of a stream that keeps everything: in files, without a limit that forgets, refusing when full.
pub(crate) fn keep_everything(connection: &Connection, name: &str, subjects: &str) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![subjects.to_owned()],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        num_replicas: connection.options.replicas,
        metadata: HashMap::from([(FORMAT_KEY.to_owned(), FORMAT.to_owned())]),
        ..Config::default()
    }
}

/// The stream of this name, made with this configuration if there is none. A cluster that is just starting has no
/// leader yet, or one without a majority: that is waited for.
pub(crate) async fn open(connection: &Connection, wanted: Config) -> Result<Stream, ConnectError> {
    let refused = |reason: String| ConnectError::Stream {
        name: wanted.name.clone(),
        reason,
    };
    let said = AtomicBool::new(false);
    let opened = patience::ask(
        OPENING,
        |_: &String| true,
        || format!("it didn't answer within {} s", OPENING.as_secs()),
        || async {
            let stream = get_or_create(connection, &wanted).await;
            let led = stream.and_then(|stream| {
                let cluster = stream.cached_info().cluster.as_ref();
                let led = leader::silence(cluster).is_some_and(|silence| silence < leader::LEASE);
                led.then_some(stream)
                    .ok_or_else(|| "the server that leads it doesn't hear from a majority".to_owned())
            });
            led.inspect_err(|reason| {
                if !said.swap(true, Ordering::Relaxed) {
                    let stream = &wanted.name;
                    warn!(stream, reason, "JetStream doesn't answer as it should yet");
                }
            })
        },
    );
    let stream = match opened.await {
        Ok(stream) => stream,
        Err(reason) => match connection.diagnose().await {
            Some(fault) => return Err(refused(fault.to_string())),
            None => return Err(refused(reason)),
        },
    };
    let found = stream.cached_info();
    let differences = differences(&wanted, found);
    if !differences.is_empty() {
        return Err(refused(differences.join("; ")));
    }
    if wanted.max_bytes > 0 && wanted.max_bytes != found.config.max_bytes {
        let limited = Config {
            max_bytes: wanted.max_bytes,
            ..found.config.clone()
        };
        let updated = connection.context.update_stream(limited).await;
        updated.map_err(|error| refused(format!("its limit can't be changed: {error}")))?;
    }
    Ok(stream)
}

async fn get_or_create(connection: &Connection, wanted: &Config) -> Result<Stream, String> {
    match connection.context.get_stream(&wanted.name).await {
        Err(error) if is_missing(&error) => {
            let made = connection.context.create_stream(wanted.clone()).await;
            made.map_err(|error| format!("it can't be created: {error}"))
        }
        answer => answer.map_err(|error| format!("it can't be read: {error}")),
    }
}

fn is_missing(error: &GetStreamError) -> bool {
    matches!(error.kind(), GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// What an existing stream has differently in a way that endangers what it holds.
fn differences(wanted: &Config, found: &Info) -> Vec<String> {
    let has = &found.config;
    let mut differences = Vec::new();
    let mut must = |holds: bool, reason: String| {
        if !holds {
            differences.push(reason);
        }
    };
    must(
        has.subjects == wanted.subjects,
        format!(
            "its subjects are {:?} instead of {:?}",
            has.subjects, wanted.subjects
        ),
    );
    must(
        has.storage == StorageType::File,
        "it is kept in memory, not in files".to_owned(),
    );
    must(
        has.retention == RetentionPolicy::Limits,
        "its retention forgets messages that were read".to_owned(),
    );
    must(
        has.discard == DiscardPolicy::New,
        "it discards old messages when it is full: set discard new".to_owned(),
    );
    must(
        has.num_replicas >= wanted.num_replicas,
        format!(
            "it has {} replicas instead of {}",
            has.num_replicas, wanted.num_replicas
        ),
    );
    must(
        has.max_age.is_zero() && !has.allow_message_ttl,
        "its messages expire: set no max_age and no TTL".to_owned(),
    );
    must(
        has.max_messages <= 0 && has.max_messages_per_subject <= 0,
        "it limits the number of messages".to_owned(),
    );
    must(
        has.deny_delete || !wanted.deny_delete,
        "its messages can be deleted: deny_delete must be set".to_owned(),
    );
    must(
        has.deny_purge || !wanted.deny_purge,
        "it can be purged: deny_purge must be set".to_owned(),
    );
    must(
        !has.allow_rollup,
        "messages can replace earlier ones: allow_rollup_hdrs must not be set".to_owned(),
    );
    must(
        !has.no_ack && !has.sealed,
        "it doesn't acknowledge, or is sealed".to_owned(),
    );
    must(
        has.mirror.is_none() && has.sources.as_ref().is_none_or(Vec::is_empty),
        "it copies other streams".to_owned(),
    );
    must(has.subject_transform.is_none(), "it changes subjects".to_owned());
    must(
        has.persist_mode != Some(PersistenceMode::Async),
        "it acknowledges before it writes: persist_mode is async".to_owned(),
    );
    let format = has.metadata.get(FORMAT_KEY).map(String::as_str);
    must(
        format == Some(FORMAT),
        format!("its metadata {FORMAT_KEY} is {format:?}: another program or version made it"),
    );
    differences
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted() -> Config {
        Config {
            name: "EVENTS".to_owned(),
            subjects: vec!["rt.>".to_owned()],
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            num_replicas: 3,
            deny_delete: true,
            deny_purge: true,
            metadata: HashMap::from([(FORMAT_KEY.to_owned(), FORMAT.to_owned())]),
            ..Config::default()
        }
    }

    fn info(config: &Config) -> Info {
        let state = json!({
            "messages": 0, "bytes": 0, "first_seq": 0, "first_ts": "2026-01-01T00:00:00Z", "last_seq": 0,
            "last_ts": "2026-01-01T00:00:00Z", "consumer_count": 0,
        });
        let info = json!({ "config": config, "created": "2026-01-01T00:00:00Z", "state": state, "ts": "2026-01-01T00:00:00Z" });
        serde_json::from_value(info).unwrap()
    }

    #[test]
    fn a_stream_made_as_wanted_is_accepted() {
        assert_eq!(differences(&wanted(), &info(&wanted())), [""; 0]);
        assert_eq!(
            differences(
                &Config {
                    num_replicas: 1,
                    ..wanted()
                },
                &info(&wanted())
            ),
            [""; 0]
        );
    }

    #[test]
    fn everything_that_could_lose_a_message_is_named() {
        let found = Config {
            num_replicas: 1,
            discard: DiscardPolicy::Old,
            max_messages: 10,
            max_age: std::time::Duration::from_secs(1),
            deny_purge: false,
            deny_delete: false,
            allow_rollup: true,
            storage: StorageType::Memory,
            ..wanted()
        };
        assert_eq!(differences(&wanted(), &info(&found)).len(), 8);
    }
}
