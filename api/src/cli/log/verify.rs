//! `log verify`: checks all that can be checked.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use commands::log::head::SignedHead;
use commands::log::verify::{self, UncheckedEvidence, Verified};
use commands::log::witness::HEAD_FILE;

use crate::cli::ending::Ending;
use crate::cli::progress::Bar;
use crate::cli::terminal;
use crate::compose::installation::Installation;
use crate::compose::storage::Storage;
use crate::config::{StorageFlags, StorageSettings};

/// Checks every record, every hash chain, every secret, and what was signed of them
#[derive(Args, Debug)]
pub struct Verify {
    /// A head that was kept elsewhere, as `log head` printed it: the log must still begin with what it was signed for
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    #[command(flatten)]
    storage: StorageFlags,
}

impl Verify {
    /// Walks the log.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let settings = StorageSettings::from_flags(self.storage)?;
        let archived = self.head.map(archived_head).transpose()?;
        let evidence = UncheckedEvidence::read(&settings.data_dir, archived)?;
        let installation = Installation::open_to_read(&settings).await?;
        let verified = walk(&installation.storage, evidence).await?;
        terminal::print(&format!(
            "the log is whole: {} records, {} commits, {} boundaries",
            verified.records, verified.commits, verified.boundaries
        ))?;
        terminal::print(&signed(&verified, archived.as_ref()))?;
        installation.close().await;
        Ok(Ending::Done)
    }
}

/// Verifies a log against what was read of its evidence before it was opened.
pub(crate) async fn walk(storage: &Storage, evidence: UncheckedEvidence) -> anyhow::Result<Verified> {
    let evidence = evidence.check(&storage.signing.public())?;
    let bar = Bar::new("verifying");
    let verified = verify::verify(&*storage.log, &*storage.keyring, evidence, |done| {
        bar.show(done.position.0, done.last.0);
    })
    .await?;
    bar.finish();
    Ok(verified)
}

fn archived_head(path: PathBuf) -> anyhow::Result<SignedHead> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
    SignedHead::parse(&text).context(name)
}

/// What vouches for the log beside its own chains.
fn signed(verified: &Verified, archived: Option<&SignedHead>) -> String {
    let mut lines = Vec::new();
    if let Some(signed) = archived {
        let head = signed.head;
        lines.push(format!("as signed on {} at position {}", head.at, head.position));
    }
    match verified.head {
        Some(head) => {
            let after = verified.records - head.0;
            lines.push(format!("signed up to position {head}, {after} records after it"));
        }
        None => lines.push(format!(
            "no {HEAD_FILE} here: that no record was cut off at the end, and that nobody who has the keys wrote the log anew, isn't shown"
        )),
    }
    lines.join("\n")
}
