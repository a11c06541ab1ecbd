//! `log import`: an exported file becomes a log.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use commands::log::archive::{self, Imported};
use tokio::fs::File;
use tokio::io::BufReader;

use crate::cli::ending::Ending;
use crate::cli::progress::Bar;
use crate::cli::terminal;
use crate::compose::installation::Installation;
use crate::compose::storage::Storage;
use crate::config::{StorageFlags, StorageSettings};

/// Reads an exported file with its keys.
pub(crate) async fn read(path: &Path, storage: &Storage) -> anyhow::Result<Imported> {
    let name = path.display().to_string();
    let file = File::open(path).await.with_context(|| name.clone())?;
    let bar = Bar::new("importing");
    let imported = archive::import(
        &*storage.log,
        Some(&*storage.key_pages),
        BufReader::new(file),
        |done| bar.show(done.position.0, done.last.0),
    )
    .await
    .context(name)?;
    bar.finish();
    Ok(imported)
}

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
        let installation = Installation::open(&settings).await?;
        let imported = read(&self.file, &installation.storage).await?;
        terminal::note(&format!(
            "{} records and {} pages of keys, {} of the records were here already",
            imported.records, imported.pages, imported.already
        ));
        installation.close().await;
        Ok(Ending::Done)
    }
}
