//! `history`: the changes of a runtime group or of the organization, those that were and those to come.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::change_filters::ChangeFilters;
use super::client::{Client, Connection, history_path};
use super::ending::Ending;
use super::event_stream::EventStream;
use super::history_export::Export;
use super::output::{Output, cell};
use super::table::Table;
use super::terminal;
use crate::foreign_text::visible_value;

/// Lists the changes of the organization or of one of its runtime groups: who, when, why
///
/// The newest change first. Without --group, the organization's own: its groups, tokens and certificates, and the instances that
/// were admitted or refused a configuration.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct History {
    #[command(subcommand)]
    other: Option<Other>,
    /// The runtime group, an id or a name; a deleted group by its id. Without it, the organization
    #[arg(long, short)]
    group: Option<String>,
    /// How many changes at most
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Go on with changes as they happen, one line each, until interrupted
    #[arg(long, short, conflicts_with_all = ["since", "until", "limit"])]
    follow: bool,
    #[command(flatten)]
    filters: ChangeFilters,
    #[command(flatten)]
    connection: Connection,
}

/// What else can be done with a history than listing it.
#[derive(Subcommand, Debug)]
enum Other {
    Export(Export),
}

impl History {
    /// Prints the changes.
    pub async fn run(self) -> anyhow::Result<Ending> {
        if let Some(Other::Export(export)) = self.other {
            return export.run().await;
        }
        let client = Client::new(&self.connection)?;
        let history = history_path(self.group.as_deref());
        if self.follow {
            return self.follow(&client, &history).await;
        }
        let changes = self.newest(&client, &history).await?;
        self.connection.output.show(&Value::from(changes), table)?;
        Ok(Ending::Done)
    }

    /// The newest changes, at most so many: page after page, because a search may answer with a short one.
    async fn newest(&self, client: &Client, history: &str) -> anyhow::Result<Vec<Value>> {
        let mut changes = Vec::new();
        let mut after = String::new();
        loop {
            let wanted = self.limit - changes.len() as u64;
            let parameters = self.filters.parameters();
            let path = format!("{history}/versions?page%5Bsize%5D={wanted}{after}{parameters}");
            let page = client.get(&path).send().await?.json()?;
            changes.extend(page["data"].as_array().into_iter().flatten().cloned());
            match page["meta"]["page"]["next"].as_str() {
                Some(next) if (changes.len() as u64) < self.limit => {
                    after = format!("&page%5Bafter%5D={next}");
                }
                _ => return Ok(changes),
            }
        }
    }

    async fn follow(&self, client: &Client, history: &str) -> anyhow::Result<Ending> {
        let parameters = self.filters.parameters();
        let path = format!("{history}/events?{}", parameters.trim_start_matches('&'));
        let mut events = EventStream::open(client, path).await?;
        loop {
            let change = events.next().await?;
            match self.connection.output {
                Output::Table => terminal::print(&cells(&visible_value(&change)).join("  "))?,
                Output::Json => terminal::print_json(&change.to_string())?,
            }
        }
    }
}

fn table(changes: &Value) -> String {
    let mut table = Table::new(&["VERSION", "WHEN", "WHO", "WHAT", "WHY"]);
    for change in changes.as_array().into_iter().flatten() {
        table.row(cells(change));
    }
    if table.is_empty() {
        "no changes".to_owned()
    } else {
        table.render()
    }
}

fn cells(change: &Value) -> Vec<String> {
    vec![
        cell(&change["version"]),
        cell(&change["at"]),
        who(&change["actor"]),
        what(change),
        cell(&change["message"]),
    ]
}

/// An actor as people read it.
pub(super) fn who(actor: &Value) -> String {
    match actor {
        Value::Object(fields) => {
            let kind = fields.get("type").map(cell).unwrap_or_default();
            let name = fields.get("name").or_else(|| fields.get("part"));
            format!("{kind}:{}", name.map(cell).unwrap_or_default())
        }
        other => cell(other),
    }
}

/// One event in words, several as a number.
fn what(change: &Value) -> String {
    let event = &change["events"][0];
    match change["event_count"].as_u64() {
        Some(1) => {
            let action = cell(&event["what"]).replace("entity.", "");
            let name = if event["name"].is_null() {
                &event["id"]
            } else {
                &event["name"]
            };
            let reason = event["reason"].as_str().map(|reason| format!(": {reason}"));
            format!(
                "{action} {} {}{}",
                cell(&event["kind"]),
                cell(name),
                reason.unwrap_or_default()
            )
        }
        count => format!("{} events", count.unwrap_or_default()),
    }
}
