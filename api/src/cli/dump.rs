//! `dump`: a runtime group's configuration as a declarative file.

use clap::Args;

use super::client::{Client, Connection, group_path, segment};
use super::ending::Ending;
use super::output::Output;
use super::terminal;

/// What a configuration is written as.
pub const FORMATS: [&str; 3] = ["deck", "kong", "json"];

/// Prints a runtime group's configuration as a declarative file
///
/// The file goes to standard output: YAML, or JSON with --output json and for --format json.
#[derive(Args, Debug)]
pub struct Dump {
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    /// A past version or RFC 3339 time instead of the newest
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// decK's format, what a Kong without a database loads, or the bodies as they are stored
    #[arg(long, value_parser = FORMATS, default_value = FORMATS[0])]
    format: String,
    #[command(flatten)]
    connection: Connection,
}

impl Dump {
    /// Prints the file.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let mut path = format!("{}/dump?format={}", group_path(&self.group), self.format);
        if let Some(version) = &self.version {
            path.push_str(&format!("&at={}", segment(version)));
        }
        print(&client, &self.connection, &path).await?;
        Ok(Ending::Done)
    }
}

/// Prints the file at a path: YAML, or JSON for programs.
pub async fn print(client: &Client, connection: &Connection, path: &str) -> anyhow::Result<()> {
    let media_type = match connection.output {
        Output::Table => "application/yaml",
        Output::Json => "application/json",
    };
    let answer = client.get(path).header("accept", media_type).send().await?;
    terminal::print_document(&answer.text)?;
    Ok(())
}
