//! `log export`: the whole log in one file.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use commands::log::archive::{self, Exported};
use tokio::fs::OpenOptions;
use tokio::io::BufWriter;

use crate::cli::ending::Ending;
use crate::cli::progress::Bar;
use crate::cli::terminal;
use crate::compose::installation::Installation;
use crate::compose::storage::Storage;
use crate::config::{StorageFlags, StorageSettings};

/// Writes the log, and its keys if wanted, into a new file that only its owner reads.
pub(crate) async fn write(path: &Path, storage: &Storage, with_keys: bool) -> anyhow::Result<Exported> {
    let name = path.display().to_string();
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .await
        .with_context(|| name.clone())?;
    let keys = with_keys.then_some(&*storage.key_pages);
    let bar = Bar::new("exporting");
    let exported = archive::export(
        &*storage.log,
        &storage.identity,
        keys,
        BufWriter::new(file),
        |done| bar.show(done.position.0, done.last.0),
    )
    .await
    .context(name)?;
    bar.finish();
    Ok(exported)
}

/// Writes the whole log and its keys into one file: a backup, and the way to another engine
#[derive(Args, Debug)]
pub struct Export {
    /// The file to write; it must not exist
    file: PathBuf,
    /// Leaves the keys out: nobody can then read the secrets in the file
    #[arg(long)]
    without_keys: bool,
    #[command(flatten)]
    storage: StorageFlags,
}

impl Export {
    /// Writes the file.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let settings = StorageSettings::from_flags(self.storage)?;
        let installation = Installation::open(&settings).await?;
        let path = self.file.display().to_string();
        let exported = write(&self.file, &installation.storage, !self.without_keys).await?;
        terminal::note(&format!(
            "{path}: {} records and {} pages of keys",
            exported.records, exported.pages
        ));
        installation.close().await;
        Ok(Ending::Done)
    }
}
