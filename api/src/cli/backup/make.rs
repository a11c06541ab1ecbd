//! Taking a backup.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;
use commands::log::witness::{WitnessedHead, read_head};

use super::{EXPORT_FILE, HEAD_FILE};
use crate::cli::ending::Ending;
use crate::cli::log::export;
use crate::cli::private_file::PrivateFile;
use crate::cli::terminal;
use crate::compose::installation::Installation;
use crate::config::{StorageFlags, StorageSettings};

const PRIVATE_DIRECTORY: u32 = 0o700;

/// Takes a backup into a new directory. The head is read before the log: it is never newer than what is exported.
pub(super) async fn run(to: &Path, flags: StorageFlags) -> anyhow::Result<Ending> {
    let settings = StorageSettings::from_flags(flags)?;
    let head = read_head(&settings.data_dir)?;
    let installation = Installation::open_to_read(&settings).await?;
    let name = to.display().to_string();
    DirBuilder::new()
        .mode(PRIVATE_DIRECTORY)
        .create(to)
        .with_context(|| name.clone())?;
    let exported = export::write(&to.join(EXPORT_FILE), &installation.storage, true).await?;
    if let WitnessedHead::Signed(head) = head {
        let text = serde_json::to_string_pretty(&head)?;
        PrivateFile::create(&to.join(HEAD_FILE))?.write(&text)?;
    }
    for path in [&to.join(EXPORT_FILE), to] {
        let synced = File::open(path).and_then(|file| file.sync_all());
        synced.with_context(|| path.display().to_string())?;
    }
    installation.close().await;
    terminal::note(&format!(
        "{name}: {} records and {} pages of keys; `runtime-manager backup verify --from {name}` rehearses a restore",
        exported.records, exported.pages
    ));
    Ok(Ending::Done)
}
