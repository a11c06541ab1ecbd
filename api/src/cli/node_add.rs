//! `node add`: what a new instance is started with.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::client::{Client, Connection, group_path};
use super::ending::Ending;
use super::output::Output;
use super::private_file::PrivateFile;
use super::terminal;
use crate::provisioning::Platform;

/// Prints what a new instance is started with
///
/// A script or file for its platform, with a certificate (or, for the agent, a token) that was made for it. It holds a
/// secret: keep it as you keep passwords. One text may start several instances of the group.
#[derive(Args, Debug)]
pub struct Add {
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    /// Where the instance runs
    #[arg(long, value_enum, default_value = "docker")]
    platform: Platform,
    /// Which Kong [default: the newest]
    #[arg(long = "kong", value_name = "VERSION")]
    version: Option<String>,
    /// What people call its certificate or token
    #[arg(long)]
    name: Option<String>,
    /// Writes a new file (0600) instead
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl Add {
    /// Asks the server, and prints or writes its answer.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let file = self.write.as_deref().map(PrivateFile::create).transpose()?;
        let client = Client::new(&self.connection)?;
        let path = format!("{}/nodes/new", group_path(&self.group));
        let body = json!({ "platform": self.platform.name(), "version": self.version, "name": self.name });
        let media_type = match self.connection.output {
            Output::Table => "text/plain",
            Output::Json => "application/json",
        };
        let request = client.post(&path).json(&body).header("accept", media_type);
        let answer = request.send().await?;
        match (file, &self.write) {
            (Some(file), Some(path)) => {
                file.write(&answer.text)?;
                terminal::note(&format!("wrote {}", path.display()));
            }
            _ => terminal::print_document(&answer.text)?,
        }
        Ok(Ending::Done)
    }
}
