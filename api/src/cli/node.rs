//! `node`: runtime instances.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::client::{Client, Connection, group_path, segment};
use super::ending::Ending;
use super::node_add::Add;
use super::node_certificate::NodeCertificate;
use super::output::cell;
use super::table::Table;
use super::terminal;

/// Runtime instances
#[derive(Subcommand, Debug)]
pub enum Node {
    /// Lists the instances of a runtime group and what each runs
    List(List),
    /// Shows one instance
    Get(Get),
    /// Removes the record of an instance that doesn't run any more
    Forget(Forget),
    /// Prints what a new instance is started with
    Add(Add),
    /// The certificates that open a runtime group to its instances
    #[command(subcommand)]
    Certificate(NodeCertificate),
}

impl Node {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<Ending> {
        match self {
            Self::List(command) => command.run().await,
            Self::Get(command) => command.run().await,
            Self::Forget(command) => command.run().await,
            Self::Add(command) => command.run().await,
            Self::Certificate(command) => command.run().await,
        }
    }
}

/// Lists the instances of a runtime group and what each runs
#[derive(Args, Debug)]
pub struct List {
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    #[command(flatten)]
    connection: Connection,
}

impl List {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let path = format!("{}/nodes", group_path(&self.group));
        let nodes = client.get(&path).send().await?.json()?["items"].take();
        self.connection.output.show(&nodes, table)?;
        Ok(Ending::Done)
    }
}

fn table(nodes: &Value) -> String {
    let mut table = Table::new(&[
        "HOST",
        "ID",
        "VERSION",
        "PROTOCOL",
        "RUNS",
        "STATUS",
        "FINDINGS",
        "LAST SEEN",
        "LAST ERROR",
    ]);
    for node in nodes.as_array().into_iter().flatten() {
        table.row(vec![
            cell(&node["hostname"]),
            cell(&node["id"]),
            cell(&node["version"]),
            cell(&node["protocol"]),
            cell(&node["applied"]["version"]),
            cell(&node["status"]),
            cell(&node["compatibility_status"]["total"]),
            cell(&node["last_seen"]),
            cell(hindrance(node)),
        ]);
    }
    if table.is_empty() {
        "no instance has connected yet".to_owned()
    } else {
        table.render()
    }
}

/// Why an instance doesn't run what it should: a configuration that isn't sent to it says more than what it said last.
fn hindrance(node: &Value) -> &Value {
    match &node["withheld"]["reason"] {
        Value::Null => &node["last_error"],
        reason => reason,
    }
}

/// One instance of one group.
#[derive(Args, Debug)]
struct Named {
    /// The instance's id
    id: String,
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
}

impl Named {
    fn path(&self) -> String {
        format!("{}/nodes/{}", group_path(&self.group), segment(&self.id))
    }
}

/// Shows one instance
#[derive(Args, Debug)]
pub struct Get {
    #[command(flatten)]
    node: Named,
    #[command(flatten)]
    connection: Connection,
}

impl Get {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let node = client.get(&self.node.path()).send().await?.json()?["item"].take();
        self.connection.output.show(&node, page)?;
        Ok(Ending::Done)
    }
}

fn page(node: &Value) -> String {
    let fields = node.as_object().into_iter().flatten();
    let lines: Vec<String> = fields
        .map(|(name, value)| format!("{name:18} {}", cell(value)))
        .collect();
    lines.join("\n")
}

/// Removes the record of an instance that doesn't run any more
#[derive(Args, Debug)]
pub struct Forget {
    #[command(flatten)]
    node: Named,
    #[command(flatten)]
    connection: Connection,
}

impl Forget {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        client.delete(&self.node.path()).send().await?;
        terminal::note(&format!(
            "{} is forgotten; if it connects again, it is listed again",
            self.node.id
        ));
        Ok(Ending::Done)
    }
}
