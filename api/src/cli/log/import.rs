//! `log import`: an exported file becomes a log.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use commands::log::archive;
use tokio::fs::File;
use tokio::io::BufReader;

use crate::cli::ending::Ending;
use crate::cli::progress::Bar;
use crate::cli::terminal;
use crate::compose::installation::Installation;
use crate::config::{StorageFlags, StorageSettings};

/// Reads an exported file into an empty log, or continues an import that was cut short
#[derive(Args, Debug)]
pub struct Import {
    /// What `log export` wrote
    file: PathBuf,
    #[command(flatten)]
    storage: StorageFlags,
}

impl Import {
    /// Reads the file.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let settings = StorageSettings::from_flags(self.storage)?;
        let path = self.file.display().to_string();
        let file = File::open(&self.file).await.with_context(|| path.clone())?;
        let installation = Installation::open(&settings).await?;
        let storage = &installation.storage;
        let bar = Bar::new("importing");
        let imported = archive::import(
            &*storage.log,
            Some(&*storage.key_pages),
            BufReader::new(file),
            |done| bar.show(done.position.0, done.last.0),
        )
        .await
        .with_context(|| path.clone())?;
        bar.finish();
        terminal::note(&format!(
            "{} records and {} pages of keys, {} of the records were here already",
            imported.records, imported.pages, imported.already
        ));
        installation.close().await;
        Ok(Ending::Done)
    }
}
