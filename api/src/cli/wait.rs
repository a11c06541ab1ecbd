//! `wait`: until every connected instance runs a version.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::Value;
use tokio::time::Instant;

use super::client::{Client, Connection, group_path};
use super::ending::Ending;
use super::output::{Output, cell};
use super::{progress, terminal};
use crate::foreign_text::visible_value;

/// How long one question may wait at the server, in seconds.
const LONGEST_QUESTION: u64 = 30;

/// Waits until every connected instance of a runtime group runs a version
///
/// Succeeds as soon as every connected instance runs the version or a later one; at once, and saying so, when
/// none is connected; fails at once with the reason when an instance refused it.
#[derive(Args, Debug)]
pub struct Wait {
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    /// The version [default: the newest]
    #[arg(long)]
    version: Option<u64>,
    /// For how long at most, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    #[command(flatten)]
    connection: Connection,
}

impl Wait {
    /// Asks until it is decided.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let what = format!("waiting for the instances of {}", self.group);
        progress::spin(&what, self.ask(&client)).await
    }

    async fn ask(&self, client: &Client) -> anyhow::Result<Ending> {
        let deadline = Instant::now() + Duration::from_secs(self.timeout);
        loop {
            // At least a second, or the last one would be spent asking without a pause.
            let left = deadline
                .saturating_duration_since(Instant::now())
                .as_secs()
                .max(1);
            let rollout = self.rollout(client, left.min(LONGEST_QUESTION)).await?;
            match rollout["state"].as_str() {
                Some("live") => return self.report(&rollout),
                Some("refused" | "withheld") => bail!("{}", refusals(&visible_value(&rollout))),
                _ if Instant::now() >= deadline => {
                    bail!(
                        "after {} seconds {}",
                        self.timeout,
                        laggards(&visible_value(&rollout))
                    );
                }
                _ => {}
            }
        }
    }

    async fn rollout(&self, client: &Client, wait: u64) -> anyhow::Result<Value> {
        let mut path = format!("{}/rollout?wait={wait}s", group_path(&self.group));
        if let Some(version) = self.version {
            path.push_str(&format!("&version={version}"));
        }
        client.get(&path).send().await?.json()
    }

    fn report(&self, rollout: &Value) -> anyhow::Result<Ending> {
        if self.connection.output == Output::Json {
            self.connection.output.show(rollout, |_| String::new())?;
        } else {
            let (connected, version) = (&rollout["connected"], &rollout["version"]);
            terminal::print(&match connected.as_u64() {
                Some(0) => format!(
                    "no instance of {} is connected: nobody has to run version {version}",
                    self.group
                ),
                Some(1) => format!(
                    "the one connected instance of {} runs version {version}",
                    self.group
                ),
                _ => format!(
                    "all {connected} connected instances of {} run version {version}",
                    self.group
                ),
            })?;
        }
        Ok(Ending::Done)
    }
}

fn refusals(rollout: &Value) -> String {
    let nodes = rollout["nodes"].as_array().into_iter().flatten();
    let hindered = nodes.filter_map(|node| {
        let did = match node["state"].as_str()? {
            "refused" => "refused it",
            "withheld" => "isn't sent it",
            _ => return None,
        };
        Some(format!(
            "{} {did}: {}",
            cell(&node["hostname"]),
            cell(&node["reason"])
        ))
    });
    hindered.collect::<Vec<_>>().join("\n")
}

fn laggards(rollout: &Value) -> String {
    let nodes = rollout["nodes"].as_array().into_iter().flatten();
    let pending: Vec<String> = nodes
        .filter(|node| node["state"] != "live")
        .map(|node| format!("{} runs {}", cell(&node["hostname"]), cell(&node["version"])))
        .collect();
    format!(
        "{} of {} connected instances run version {}; not yet: {}",
        rollout["current"],
        rollout["connected"],
        rollout["version"],
        pending.join(", ")
    )
}
