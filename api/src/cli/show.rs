//! `show`: one change, with what each entity was before and after.

use clap::Args;
use serde_json::Value;

use super::change_report::ChangeReport;
use super::client::{Client, Connection, group_path, history_path};
use super::ending::Ending;
use super::history::who;
use super::output::{Output, cell};
use super::{dump, terminal};

/// Shows one change of the organization or of a runtime group, with what each thing was before and after
#[derive(Args, Debug)]
pub struct Show {
    /// The change's version
    version: u64,
    /// The runtime group, an id or a name; a deleted group by its id. Without it, the organization
    #[arg(long, short)]
    group: Option<String>,
    /// Prints the whole configuration after the change, as `dump` does
    #[arg(long, requires = "group")]
    config: bool,
    /// What the configuration is written as
    #[arg(long, value_parser = dump::FORMATS, default_value = dump::FORMATS[0], requires = "config")]
    format: String,
    #[command(flatten)]
    connection: Connection,
}

impl Show {
    /// Prints the change.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        if let Some(group) = self.group.as_deref().filter(|_| self.config) {
            let (group, version, format) = (group_path(group), self.version, &self.format);
            let path = format!("{group}/versions/{version}/config?format={format}");
            dump::print(&client, &self.connection, &path).await?;
            return Ok(Ending::Done);
        }
        let path = format!(
            "{}/versions/{}",
            history_path(self.group.as_deref()),
            self.version
        );
        match self.connection.output {
            Output::Table => terminal::print(&page(&report(&client, &path).await?))?,
            Output::Json => terminal::print_indented(&whole(&client, &path).await?.to_string())?,
        }
        Ok(Ending::Done)
    }
}

/// What a change did, put together from the pages of its answer.
async fn report(client: &Client, path: &str) -> anyhow::Result<ChangeReport> {
    let mut report = ChangeReport::read(&client.get(path).send().await?)?;
    let mut next = report.facts["meta"]["page"]["next"].take();
    while let Some(after) = next.as_str() {
        let mut part = ChangeReport::read(&client.get(&page_after(path, after)).send().await?)?;
        next = part.facts["meta"]["page"]["next"].take();
        report.difference.append(part.difference);
    }
    Ok(report)
}

/// The same as the values that the server sent.
async fn whole(client: &Client, path: &str) -> anyhow::Result<Value> {
    let mut change = client.get(path).send().await?.json()?;
    let mut next = change["meta"]["page"]["next"].take();
    while let Some(after) = next.as_str() {
        let mut part = client.get(&page_after(path, after)).send().await?.json()?;
        for list in ["events", "changes"] {
            let more = part[list].as_array_mut().map(std::mem::take).unwrap_or_default();
            let all = change[list].as_array_mut().into_iter();
            all.for_each(|all| all.extend_from_slice(&more));
        }
        next = part["meta"]["page"]["next"].take();
    }
    Ok(change)
}

fn page_after(path: &str, after: &str) -> String {
    format!("{path}?page%5Bafter%5D={after}")
}

/// The configuration's digest, if its reader may learn it.
fn digest(change: &Value) -> String {
    let digest = cell(&change["digest"]);
    match change["erased"] == true {
        true => format!("{digest} (of what is left: something of it was erased since)"),
        false => digest,
    }
}

fn page(report: &ChangeReport) -> String {
    let change = &report.facts;
    let facts = [
        ("version", cell(&change["version"])),
        ("when", cell(&change["at"])),
        ("who", who(&change["actor"])),
        ("why", cell(&change["message"])),
        ("request", cell(&change["request_id"])),
        ("digest", digest(change)),
    ];
    let lines: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("{name:8} {value}"))
        .collect();
    format!("{}\n\n{}", lines.join("\n"), report.difference.render())
}
