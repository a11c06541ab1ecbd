//! `show`: one change, with what each entity was before and after.

use clap::Args;
use serde_json::Value;

use super::client::{Client, Connection, group_path};
use super::difference;
use super::ending::Ending;
use super::history::who;
use super::output::cell;

/// Shows one change with what each entity was before and after
#[derive(Args, Debug)]
pub struct Show {
    /// The change's version
    version: u64,
    /// The runtime group, an id or a name; a deleted group by its id
    #[arg(long, short, default_value = "default")]
    group: String,
    #[command(flatten)]
    connection: Connection,
}

impl Show {
    /// Prints the change.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let path = format!("{}/versions/{}", group_path(&self.group), self.version);
        let change = client.get(&path).send().await?.json()?;
        self.connection.output.show(&change, page)?;
        Ok(Ending::Done)
    }
}

fn page(change: &Value) -> String {
    let facts = [
        ("version", cell(&change["version"])),
        ("when", cell(&change["at"])),
        ("who", who(&change["actor"])),
        ("why", cell(&change["message"])),
        ("request", cell(&change["request_id"])),
        ("digest", cell(&change["digest"])),
    ];
    let lines: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("{name:8} {value}"))
        .collect();
    format!(
        "{}\n\n{}",
        lines.join("\n"),
        difference::render(&change["changes"])
    )
}
