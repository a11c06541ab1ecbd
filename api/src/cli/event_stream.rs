//! Server-sent events, each once: when the stream breaks off, it is opened again after the last one.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use tokio::time::sleep;

use super::client::Client;
use super::terminal;

const PAUSE: Duration = Duration::from_secs(1);

/// Events of one address.
pub struct EventStream<'c> {
    client: &'c Client,
    path: String,
    last: Option<String>,
    answer: reqwest::Response,
    unread: Vec<u8>,
}

impl<'c> EventStream<'c> {
    /// Begins with the next event to come.
    pub async fn open(client: &'c Client, path: String) -> anyhow::Result<Self> {
        let answer = client.get(&path).open().await?;
        Ok(Self {
            client,
            path,
            last: None,
            answer,
            unread: Vec::new(),
        })
    }

    /// The next event's data.
    pub async fn next(&mut self) -> anyhow::Result<Value> {
        loop {
            if let Some(event) = self.take() {
                if let Some(data) = self.read(&event)? {
                    return Ok(data);
                }
                continue;
            }
            match self.answer.chunk().await {
                Ok(Some(bytes)) => self.unread.extend_from_slice(&bytes),
                Ok(None) | Err(_) => self.come_back().await?,
            }
        }
    }

    /// The text of a whole event, without the empty line that ends it.
    fn take(&mut self) -> Option<String> {
        let end = self.unread.windows(2).position(|two| two == b"\n\n")?;
        let event: Vec<_> = self.unread.drain(..end + 2).collect();
        Some(String::from_utf8_lossy(&event).into_owned())
    }

    /// Notes an event's id and answers its data; none for a comment that keeps the connection alive.
    fn read(&mut self, event: &str) -> anyhow::Result<Option<Value>> {
        let field = |name: &str| {
            event
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .map(str::trim)
        };
        if let Some(id) = field("id:") {
            self.last = Some(id.to_owned());
        }
        let data = field("data:").map(serde_json::from_str);
        data.transpose().context("the server's event isn't JSON")
    }

    async fn come_back(&mut self) -> anyhow::Result<()> {
        terminal::note("the server ended the stream; opening it again");
        self.unread.clear();
        loop {
            sleep(PAUSE).await;
            let mut request = self.client.get(&self.path);
            if let Some(last) = &self.last {
                request = request.header("last-event-id", last);
            }
            match request.open().await {
                Ok(answer) => {
                    self.answer = answer;
                    return Ok(());
                }
                Err(error) if error.is::<super::refusal::Refusal>() => return Err(error),
                Err(_) => {}
            }
        }
    }
}
