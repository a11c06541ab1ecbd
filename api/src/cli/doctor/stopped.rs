//! What an installation's files say while no server runs.

use commands::log::verify::{self, UncheckedEvidence};
use domain::Position;
use projections::Standing;

use super::finding::Report;
use crate::clock::believe;
use crate::clock::machine::{Machine, TimeSource};
use crate::compose::installation::Installation;
use crate::compose::read_side;
use crate::compose::storage::{LOG_FILE, Storage};
use crate::config::{LogEngine, StorageSettings};

/// Longer logs are only looked at from their end; `log verify` reads them whole.
const WHOLE: Position = Position(100_000);

pub(super) async fn look(settings: &StorageSettings, report: &mut Report) {
    let log_file = settings.data_dir.join(LOG_FILE);
    if settings.log == LogEngine::Sqlite && !log_file.exists() {
        let detail = format!(
            "{} doesn't exist: nothing was started here yet, or it is lost; restore it from a backup",
            log_file.display()
        );
        return report.fail("log", &detail);
    }
    let installation = match Installation::open_to_read(settings).await {
        Ok(installation) => installation,
        Err(error) => return report.fail("storage", &format!("{error:#}")),
    };
    report.ok("keyring", "the master key opens it");
    match &installation.storage.durability_doubt {
        None => report.ok("durability", "what is acknowledged is on disk"),
        Some(doubt) => report.warn("durability", &format!("not verified: {doubt}")),
    }
    clock(settings, &installation.storage, report).await;
    log(settings, &installation.storage, report).await;
    views(settings, &installation, report).await;
    installation.close().await;
}

/// Whether a start would believe the machine's clock.
async fn clock(settings: &StorageSettings, storage: &Storage, report: &mut Report) {
    match believe::believe(&settings.data_dir, &*storage.log, &Machine).await {
        Ok(()) => report.ok("clock", &Machine.time().rfc3339()),
        Err(why) => report.fail("clock", &format!("{why:#}")),
    }
}

async fn log(settings: &StorageSettings, storage: &Storage, report: &mut Report) {
    let tail = match storage.log.tail().await {
        Ok(tail) => tail,
        Err(error) => return report.fail("log", &error.to_string()),
    };
    if tail > WHOLE {
        let detail = format!("ends at position {tail}; `runtime-manager log verify` checks all of it");
        return report.ok("log", &detail);
    }
    let verified = async {
        let evidence = UncheckedEvidence::read(&settings.data_dir, None)?;
        let evidence = evidence.check(&storage.signing.public())?;
        verify::verify(&*storage.log, &*storage.keyring, evidence, |_| ()).await
    };
    match verified.await {
        Ok(verified) => report.ok(
            "log",
            &format!(
                "whole: {} records, {} commits",
                verified.records, verified.commits
            ),
        ),
        Err(error) => report.fail("log", &format!("{error}; restore it from a backup or an export")),
    }
}

async fn views(settings: &StorageSettings, installation: &Installation, report: &mut Report) {
    match projections::inspect(&read_side::location(settings)).await {
        Ok(None) => {}
        Ok(Some(damage)) => {
            let detail = format!(
                "views.db is damaged: {damage}; the next start, or `rebuild`, sets it aside and makes it again"
            );
            return report.fail("views", &detail);
        }
        Err(error) => return report.fail("views", &error.to_string()),
    }
    let log = &*installation.storage.log;
    let standing = projections::standing(&read_side::location(settings), log).await;
    let tail = log.tail().await.unwrap_or_default();
    match standing {
        Ok(Standing::At(position)) if position >= tail => {
            report.ok("views", &format!("at position {position}"));
        }
        Ok(Standing::At(position)) => report.warn(
            "views",
            &format!("at position {position} of {tail}; they catch up when a server runs"),
        ),
        Ok(Standing::NotMade) => report.warn("views", "there are none of this version; a start makes them"),
        Err(error) => report.fail("views", &error.to_string()),
    }
}
