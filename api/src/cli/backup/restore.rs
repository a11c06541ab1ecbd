//! Bringing a backup back.

use std::path::PathBuf;

use clap::Args;
use commands::log::verify::UncheckedEvidence;

use super::{EXPORT_FILE, head_of};
use crate::cli::ending::Ending;
use crate::cli::log::{import, verify};
use crate::cli::terminal;
use crate::compose::installation::Installation;
use crate::config::{StorageFlags, StorageSettings};

/// Brings a backup back
#[derive(Args, Debug)]
pub(super) struct Restore {
    /// The backup's directory
    #[arg(long, value_name = "DIRECTORY")]
    from: PathBuf,
    #[command(flatten)]
    storage: StorageFlags,
}

impl Restore {
    /// Imports the backup's log and keys, and verifies what is there then.
    pub(super) async fn run(self) -> anyhow::Result<Ending> {
        let settings = StorageSettings::from_flags(self.storage)?;
        let evidence = UncheckedEvidence::read(&settings.data_dir, head_of(&self.from)?)?;
        let installation = Installation::open(&settings).await?;
        let imported = import::read(&self.from.join(EXPORT_FILE), &installation.storage).await?;
        let verified = verify::walk(&installation.storage, evidence).await?;
        installation.close().await;
        terminal::note(&format!(
            "{} records and {} pages of keys are back, {} of the records were here already; the log is whole: {} commits. Start the server",
            imported.records, imported.pages, imported.already, verified.commits
        ));
        Ok(Ending::Done)
    }
}
