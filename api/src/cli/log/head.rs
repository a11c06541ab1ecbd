//! `log head`: the newest signed head of this data directory.

use anyhow::bail;
use clap::Args;
use commands::log::witness::{HEAD_FILE, WitnessedHead, read_head};

use crate::cli::ending::Ending;
use crate::cli::terminal;
use crate::config::{StorageFlags, StorageSettings};

/// Prints the newest signed head: keep it elsewhere, `log verify --head` checks the log against it later
#[derive(Args, Debug)]
pub struct Head {
    #[command(flatten)]
    storage: StorageFlags,
}

impl Head {
    /// Prints it as JSON.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let settings = StorageSettings::from_flags(self.storage)?;
        let WitnessedHead::Signed(head) = read_head(&settings.data_dir)? else {
            let directory = settings.data_dir.display();
            bail!(
                "{directory} has no {HEAD_FILE}: `serve` writes it as soon as there is something in the log"
            );
        };
        terminal::print_indented(&serde_json::to_string(&head)?)?;
        Ok(Ending::Done)
    }
}
