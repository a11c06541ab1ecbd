//! `backup`: everything that an installation needs but its master key, in one directory; also while it runs.
//!
//! - [`make`]: taking it. [`verify`]: rehearsing that it can be brought back. [`restore`]: bringing it back.

mod make;
mod restore;
mod verify;

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use commands::log::head::SignedHead;

use super::ending::Ending;
use crate::config::StorageFlags;

/// What `log export` writes, in the backup's directory.
const EXPORT_FILE: &str = "log.export";
/// The signed head of the log as it was before, in the backup's directory.
const HEAD_FILE: &str = "head.json";

/// Takes a backup into a new directory, also while the server runs
///
/// The directory gets the whole log with its keys (`log.export`), sealed with the master key, which isn't in it: keep that
/// elsewhere. `backup verify` rehearses a restore, `backup restore` does it.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Backup {
    #[command(subcommand)]
    of_before: Option<OfBefore>,
    /// The directory to make; it must not exist
    #[arg(long, value_name = "DIRECTORY", required = true)]
    to: Option<PathBuf>,
    #[command(flatten)]
    storage: StorageFlags,
}

/// What is done with a backup that was taken before.
#[derive(Subcommand, Debug)]
enum OfBefore {
    /// Rehearses a restore: reads every record, follows every hash chain, opens every secret
    ///
    /// In a directory of its own inside the backup's, which is removed again. The master key must be in
    /// RUNTIME_MANAGER_MASTER_KEY, or in the data directory. Exit code 1 names the first fault.
    Verify(verify::Verify),
    /// Brings a backup back into an empty installation, and verifies it there
    ///
    /// No server may use the data directory. The master key must be there already: in RUNTIME_MANAGER_MASTER_KEY, or as
    /// master.key in the data directory. A restore that was cut short continues.
    Restore(restore::Restore),
}

impl Backup {
    /// Takes a backup, or does something with one.
    pub async fn run(self) -> anyhow::Result<Ending> {
        match (self.of_before, self.to) {
            (Some(OfBefore::Verify(command)), _) => command.run().await,
            (Some(OfBefore::Restore(command)), _) => command.run().await,
            (None, Some(to)) => make::run(&to, self.storage).await,
            (None, None) => anyhow::bail!("name the directory to make with --to"),
        }
    }
}

/// The head that was signed before the backup was taken, if there was one.
fn head_of(backup: &Path) -> anyhow::Result<Option<SignedHead>> {
    let path = backup.join(HEAD_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    SignedHead::parse(&text).map(Some).context(name)
}
