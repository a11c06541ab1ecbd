//! `log verify`: checks all that can be checked.

use clap::Args;
use commands::log::verify;

use crate::cli::ending::Ending;
use crate::cli::progress::Bar;
use crate::cli::terminal;
use crate::compose::installation::Installation;
use crate::config::{StorageFlags, StorageSettings};

/// Checks every record, every hash chain and every secret
#[derive(Args, Debug)]
pub struct Verify {
    #[command(flatten)]
    storage: StorageFlags,
}

impl Verify {
    /// Walks the log.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let settings = StorageSettings::from_flags(self.storage)?;
        let installation = Installation::open(&settings).await?;
        let storage = &installation.storage;
        let bar = Bar::new("verifying");
        let verified = verify::verify(&*storage.log, &*storage.keyring, |done| {
            bar.show(done.position.0, done.last.0);
        })
        .await?;
        bar.finish();
        terminal::print(&format!(
            "the log is whole: {} records, {} commits, {} boundaries",
            verified.records, verified.commits, verified.boundaries
        ))?;
        installation.close().await;
        Ok(Ending::Done)
    }
}
