//! Whether the servers sync a message to the disk before they acknowledge it, from their monitoring port.

use std::time::Duration;

use serde::Deserialize;

/// What is known of the servers' durability.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every server asked syncs before it acknowledges.
    Verified,
    /// Nobody was asked or somebody didn't answer: the reason.
    NotVerified(String),
    /// A server acknowledges what a power loss would take back: which one, and how to mend it.
    Refused(String),
}

/// What `/jsz` says of JetStream's settings.
#[derive(Debug, Deserialize)]
struct Report {
    config: Settings,
}

#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default)]
    sync_always: bool,
    /// Nanoseconds.
    #[serde(default)]
    sync_interval: u64,
}

/// Asks each monitoring address (`http://host:8222`, separated by commas) for JetStream's `sync_interval`.
pub async fn verify(monitor_urls: &str) -> Durability {
    let mut unanswered = None;
    for url in monitor_urls.split(',').map(str::trim) {
        match settings(url).await {
            Ok(settings) if settings.sync_always => {}
            Ok(settings) => {
                return Durability::Refused(format!(
                    "the NATS server at {url} syncs to the disk only every {:?}, a power loss would take back what it \
                     acknowledged: set `sync_interval: always` in its jetstream block",
                    Duration::from_nanos(settings.sync_interval)
                ));
            }
            Err(reason) => unanswered = Some(format!("{url} doesn't say how it syncs: {reason}")),
        }
    }
    unanswered.map_or(Durability::Verified, Durability::NotVerified)
}

async fn settings(url: &str) -> Result<Settings, String> {
    let answer = async { ask(url, "jsz").await?.error_for_status()?.json::<Report>().await };
    answer
        .await
        .map(|report| report.config)
        .map_err(|error| error.without_url().to_string())
}

async fn ask(url: &str, page: &str) -> Result<reqwest::Response, reqwest::Error> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(5))
        .build()?;
    client
        .get(format!("{}/{page}", url.trim_end_matches('/')))
        .send()
        .await
}

/// What `/healthz` says of a server that isn't well.
#[derive(Debug, Deserialize)]
struct Illness {
    error: Option<String>,
}

/// What the servers at these monitoring addresses say of themselves that aren't well; empty if all are, or none answers.
pub(crate) async fn illnesses(monitor_urls: &str) -> String {
    let mut said = Vec::new();
    for url in monitor_urls.split(',').map(str::trim) {
        let answer = async { ask(url, "healthz").await?.json::<Illness>().await };
        if let Ok(Illness { error: Some(error) }) = answer.await {
            said.push(format!("{url} says: {error}"));
        }
    }
    said.join("; ")
}
