//! `history`: a runtime group's changes.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::change_filters::ChangeFilters;
use super::client::{Client, Connection, group_path};
use super::ending::Ending;
use super::history_export::Export;
use super::output::cell;
use super::table::Table;

/// Lists a runtime group's changes: who, when, why
///
/// The newest change first.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct History {
    #[command(subcommand)]
    other: Option<Other>,
    /// The runtime group, an id or a name; a deleted group by its id
    #[arg(long, short, default_value = "default")]
    group: String,
    /// How many changes at most
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
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
        let history = format!("{}/versions", group_path(&self.group));
        let changes = newest(&client, &history, &self.filters, self.limit).await?;
        self.connection.output.show(&Value::from(changes), table)?;
        Ok(Ending::Done)
    }
}

/// The newest changes of a history, at most so many: page after page, because a search may answer with a short one.
async fn newest(
    client: &Client,
    history: &str,
    filters: &ChangeFilters,
    limit: u64,
) -> anyhow::Result<Vec<Value>> {
    let mut changes = Vec::new();
    let mut after = String::new();
    loop {
        let wanted = limit - changes.len() as u64;
        let parameters = filters.parameters();
        let path = format!("{history}?page%5Bsize%5D={wanted}{after}{parameters}");
        let page = client.get(&path).send().await?.json()?;
        changes.extend(page["data"].as_array().into_iter().flatten().cloned());
        match page["meta"]["page"]["next"].as_str() {
            Some(next) if (changes.len() as u64) < limit => after = format!("&page%5Bafter%5D={next}"),
            _ => return Ok(changes),
        }
    }
}

fn table(changes: &Value) -> String {
    let mut table = Table::new(&["VERSION", "WHEN", "WHO", "WHAT", "WHY"]);
    for change in changes.as_array().into_iter().flatten() {
        table.row(vec![
            cell(&change["version"]),
            cell(&change["at"]),
            who(&change["actor"]),
            what(change),
            cell(&change["message"]),
        ]);
    }
    if table.is_empty() {
        "no changes".to_owned()
    } else {
        table.render()
    }
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
            format!("{action} {} {}", cell(&event["kind"]), cell(name))
        }
        count => format!("{} events", count.unwrap_or_default()),
    }
}
