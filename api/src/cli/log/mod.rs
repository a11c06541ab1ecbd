//! `log`: the event log itself, without a server: check it, carry it away, bring it in (DESIGN §5).

pub mod export;
pub mod import;
pub mod verify;

use clap::Subcommand;

use super::ending::Ending;

/// The event log, while no server uses the data directory
#[derive(Subcommand, Debug)]
pub enum Log {
    /// Checks every record, every hash chain and every secret
    Verify(verify::Verify),
    /// Writes the whole log and its keys into one file: a backup, and the way to another engine
    Export(export::Export),
    /// Reads an exported file into an empty log, or continues an import that was cut short
    Import(import::Import),
}

impl Log {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<Ending> {
        match self {
            Self::Verify(command) => command.run().await,
            Self::Export(command) => command.run().await,
            Self::Import(command) => command.run().await,
        }
    }
}
