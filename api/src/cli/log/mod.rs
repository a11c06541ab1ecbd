//! `log`: the event log itself, not through the API: check it, sign for it, carry it away, bring it in (DESIGN §5).

pub mod export;
pub mod head;
pub mod import;
pub mod verify;

use clap::Subcommand;

use super::ending::Ending;

/// The event log itself: check it, carry it away, bring it in
#[derive(Subcommand, Debug)]
pub enum Log {
    /// Checks every record, every hash chain, every secret, and what was signed of them
    ///
    /// Positions without gaps, each boundary's hash chain, every commit decoded and its secrets opened, every
    /// record the one that was witnessed, and the signed head what the log holds. Also while a server runs. Exit
    /// code 1 names the first fault.
    Verify(verify::Verify),
    /// Prints the newest signed head: keep it elsewhere, `log verify --head` checks the log against it later
    Head(head::Head),
    /// Writes the whole log and its keys into one file: a backup, and the way to another engine
    ///
    /// No server may use the data directory. The keys in the file are sealed with the master key, which isn't in it: keep that elsewhere.
    Export(export::Export),
    /// Reads an exported file into an empty log, or continues an import that was cut short
    ///
    /// The log must be empty or hold the beginning of the same one; an import that was cut short continues.
    /// The master key of the exported installation must be here: in RUNTIME_MANAGER_MASTER_KEY, or as
    /// master.key in the data directory.
    Import(import::Import),
}

impl Log {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<Ending> {
        match self {
            Self::Verify(command) => command.run().await,
            Self::Head(command) => command.run().await,
            Self::Export(command) => command.run().await,
            Self::Import(command) => command.run().await,
        }
    }
}
