//! `history export`: a runtime group's history for an auditor.

use std::path::PathBuf;

use clap::Args;

use super::client::{Client, Connection, group_path};
use super::ending::Ending;
use super::private_file::PrivateFile;
use super::terminal;

/// Writes a runtime group's whole history into a file for an auditor: chained, signed, without secrets
///
/// One JSON object per line. How it is checked without this program: docs/auditing.md.
#[derive(Args, Debug)]
pub struct Export {
    /// The file to write; it must not exist
    file: PathBuf,
    /// The runtime group, an id or a name; a deleted group by its id
    #[arg(long, short, default_value = "default")]
    group: String,
    /// The first version
    #[arg(long, value_name = "VERSION", default_value_t = 1)]
    from: u64,
    /// The last version [default: the newest]
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

impl Export {
    /// Writes the file.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let mut path = format!("{}/history/export?from={}", group_path(&self.group), self.from);
        if let Some(to) = self.to {
            path.push_str(&format!("&to={to}"));
        }
        let mut file = PrivateFile::create(&self.file)?;
        let mut lines = 0;
        client
            .get(&path)
            .receive(|piece| {
                lines += piece.iter().filter(|byte| **byte == b'\n').count();
                file.append(piece)
            })
            .await?;
        file.finish()?;
        let changes = lines.saturating_sub(2);
        terminal::note(&format!("{}: {changes} changes", self.file.display()));
        Ok(Ending::Done)
    }
}
