//! Feeds a DB-less Kong through its Admin API: `POST /config`, and again when `GET /status` says that it has nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Mutex, watch};

use super::declarative_file::declarative;
use super::replica::Replica;

/// How long Kong may take to load a configuration.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long Kong is left alone when it can't be reached.
const RETRY: Duration = Duration::from_secs(1);
/// How often Kong is asked whether it still has a configuration.
const LOOK: Duration = Duration::from_secs(2);
/// What Kong calls the configuration it has after its start.
const NOTHING: &str = "00000000000000000000000000000000";
/// The longest answer kept as a reason, in characters.
const REASON_LIMIT: usize = 2_000;

/// A Kong that refuses a configuration: trying again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Kong refused the configuration ({status}): {reason}")]
pub struct KongRefused {
    /// The HTTP status.
    pub status: u16,
    /// What Kong said.
    pub reason: String,
}

/// A DB-less Kong.
#[derive(Clone, Debug)]
pub struct KongAdmin {
    client: reqwest::Client,
    config: String,
    status: String,
    /// Configurations are loaded one after the other, in the order they came.
    turn: Arc<Mutex<()>>,
}

impl KongAdmin {
    /// The Kong whose Admin API is at `url`.
    pub fn at(url: &str) -> Result<Self, reqwest::Error> {
        let url = url.trim_end_matches('/');
        Ok(Self {
            client: reqwest::Client::builder().timeout(PATIENCE).build()?,
            config: format!("{url}/config"),
            status: format!("{url}/status"),
            turn: Arc::default(),
        })
    }

    /// Has Kong load a configuration; tries until Kong takes or refuses it.
    pub async fn load(&self, replica: Replica) -> Result<(), KongRefused> {
        let _turn = self.turn.lock().await;
        self.post(replica).await
    }

    /// Has Kong load the newest acknowledged configuration each time it has none: it was restarted, and forgot. Never
    /// returns.
    pub async fn keep_loaded(&self, newest: watch::Receiver<Arc<Replica>>) {
        loop {
            tokio::time::sleep(LOOK).await;
            // Within its turn: what is being loaded meanwhile is newer.
            let _turn = self.turn.lock().await;
            let replica = Replica::clone(&newest.borrow());
            let Some(applied) = replica.applied().filter(|_| !replica.is_empty()) else {
                continue;
            };
            if !self.has_nothing().await {
                continue;
            }
            match self.post(replica).await {
                Ok(()) => tracing::info!(
                    version = applied.version,
                    "Kong was restarted and has its configuration again"
                ),
                Err(error) => {
                    tracing::warn!(version = applied.version, %error, "a restarted Kong refused its configuration");
                }
            }
        }
    }

    /// Whether Kong runs without a configuration; one that doesn't answer is asked again later.
    async fn has_nothing(&self) -> bool {
        let Ok(answer) = self.client.get(&self.status).send().await else {
            return false;
        };
        let text = answer.text().await.unwrap_or_default();
        serde_json::from_str::<Value>(&text).is_ok_and(|status| status["configuration_hash"] == NOTHING)
    }

    async fn post(&self, replica: Replica) -> Result<(), KongRefused> {
        let version = replica.applied().map(|applied| applied.version);
        let encode = move || Value::Object(declarative(&replica)).to_string();
        let body = tokio::task::spawn_blocking(encode).await;
        let body =
            bytes::Bytes::from(body.expect("writing JSON doesn't panic, and the runtime outlives its tasks"));
        loop {
            let request = self
                .client
                .post(&self.config)
                .header("content-type", "application/json")
                .body(body.clone());
            let trouble = match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) if answer.status().is_client_error() => return Err(refusal(answer).await),
                Ok(answer) => format!("it answered {}", answer.status()),
                Err(error) => error.to_string(),
            };
            tracing::warn!(
                url = self.config,
                version,
                trouble,
                "Kong didn't take the configuration; trying again"
            );
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn refusal(answer: reqwest::Response) -> KongRefused {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap_or_default();
    let message = serde_json::from_str::<Value>(&text)
        .ok()
        .and_then(|body| Some(body.get("message")?.as_str()?.to_owned()));
    KongRefused {
        status,
        reason: message.unwrap_or(text).chars().take(REASON_LIMIT).collect(),
    }
}
