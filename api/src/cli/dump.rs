//! `dump`: a runtime group's configuration as a declarative file.

use clap::Args;

use super::client::{Client, Connection, group_path};
use super::ending::Ending;
use super::output::Output;
use super::terminal;

/// Prints a runtime group's configuration as a declarative file
///
/// The file goes to standard output: YAML, or JSON with --output json.
#[derive(Args, Debug)]
pub struct Dump {
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    /// A past version instead of the newest
    #[arg(long, value_name = "VERSION")]
    version: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

impl Dump {
    /// Prints the configuration.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let media_type = match self.connection.output {
            Output::Table => "application/yaml",
            Output::Json => "application/json",
        };
        let mut path = format!("{}/dump", group_path(&self.group));
        if let Some(version) = self.version {
            path.push_str(&format!("?at={version}"));
        }
        let answer = client.get(&path).header("accept", media_type).send().await?;
        terminal::print(&answer.text)?;
        Ok(Ending::Done)
    }
}
