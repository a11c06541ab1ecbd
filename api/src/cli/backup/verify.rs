//! Rehearsing a restore.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use commands::log::verify::{UncheckedEvidence, Verified};
use commands::tasks::Tasks;

use super::{EXPORT_FILE, head_of};
use crate::cli::ending::Ending;
use crate::cli::log::{import, verify};
use crate::cli::terminal;
use crate::compose::installation::require_master_key;
use crate::compose::storage::{Storage, master_key};
use crate::config::{StorageFlags, StorageSettings};

/// Where the rehearsal takes place, inside the backup's directory.
const REHEARSAL: &str = "rehearsal";

/// Rehearses a restore
#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The backup's directory
    #[arg(long, value_name = "DIRECTORY")]
    from: PathBuf,
    #[command(flatten)]
    storage: StorageFlags,
}

impl Verify {
    /// Restores the backup beside itself, looks at all of it, and removes what it made.
    pub(super) async fn run(self) -> anyhow::Result<Ending> {
        let settings = StorageSettings::from_flags(self.storage)?;
        require_master_key(&settings)?;
        let place = self.from.join(REHEARSAL);
        let name = place.display().to_string();
        DirBuilder::new()
            .mode(0o700)
            .create(&place)
            .with_context(|| format!("{name}: remove it if a rehearsal was cut short"))?;
        let rehearsed = rehearse(&self.from, &place, &settings).await;
        fs::remove_dir_all(&place).with_context(|| name.clone())?;
        let verified = rehearsed?;
        terminal::print(&format!(
            "the backup is whole: {} records, {} commits, {} boundaries",
            verified.records, verified.commits, verified.boundaries
        ))?;
        Ok(Ending::Done)
    }
}

async fn rehearse(backup: &Path, place: &Path, settings: &StorageSettings) -> anyhow::Result<Verified> {
    let evidence = UncheckedEvidence::read(place, head_of(backup)?)?;
    let tasks = Tasks::default();
    let storage = Storage::open_in(place, master_key(settings)?, &tasks).await?;
    let imported = import::read(&backup.join(EXPORT_FILE), &storage).await;
    let verified = match imported {
        Ok(_) => verify::walk(&storage, evidence).await,
        Err(error) => Err(error),
    };
    tasks.shut_down().await;
    verified
}
