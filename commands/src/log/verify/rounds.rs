//! Verifying beside everything else: a process that serves walks the whole log after its start and again after each pause, in a
//! share of one core, and says what it found. What it finds was altered, or is missing, in the middle, where nobody reads any more.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::health::{Condition, Health, Severity};
use domain::keyring::KeyringError;
use domain::log::ReadError;
use domain::signing::PublicKey;
use domain::{EventLog, Keyring};
use tokio::time::sleep;
use tracing::{info, warn};

use super::{Depth, UncheckedEvidence, Verified, VerifyError, walk};

/// The condition that tells of a fault.
const CONDITION: &str = "log verification";

/// The pause after a round.
const REST: Duration = Duration::from_secs(6 * 60 * 60);

/// The pause after a round that couldn't be finished.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// For how long it works before it rests …
const SHIFT: Duration = Duration::from_millis(10);
/// … and how many times as long it rests: a tenth of a core.
const RESTS: u32 = 9;

/// What is verified, round after round.
pub struct Rounds {
    /// Where head and witness are.
    pub directory: PathBuf,
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Opens the commit that says whose the log is.
    pub keyring: Arc<dyn Keyring>,
    /// Who signs the heads.
    pub key: PublicKey,
    /// Hears of a fault.
    pub health: Arc<dyn Health>,
}

impl Rounds {
    /// Verifies again and again, until the future is dropped.
    pub async fn run(self) {
        loop {
            let pause = match self.round().await {
                Ok(verified) => {
                    info!(records = verified.records, "the log was verified: it is whole");
                    self.health.clear(CONDITION);
                    REST
                }
                Err(fault) if passes(&fault) => {
                    warn!(%fault, "the log can't be verified for the moment; it is tried again");
                    RETRY_AFTER
                }
                Err(fault) => {
                    metrics::counter!("runtime_manager_log_faults_total").increment(1);
                    self.health.raise(Condition {
                        name: CONDITION,
                        severity: Severity::Degraded,
                        reason: fault.to_string(),
                    });
                    REST
                }
            };
            sleep(pause).await;
        }
    }

    async fn round(&self) -> Result<Verified, VerifyError> {
        let evidence = UncheckedEvidence::read(&self.directory, None)?.check(&self.key)?;
        let mut pace = Pace::of_a_share();
        let measure = |progress: crate::log::archive::Progress| {
            metrics::gauge!("runtime_manager_log_verified_position").set(progress.position.0 as f64);
        };
        walk(
            &*self.log,
            &*self.keyring,
            evidence,
            Depth::Chains,
            &mut pace,
            measure,
        )
        .await
    }
}

/// Whether trying again soon may help.
fn passes(fault: &VerifyError) -> bool {
    matches!(
        fault,
        VerifyError::Unreadable {
            source: ReadError::Unavailable(_),
            ..
        } | VerifyError::Keyring {
            source: KeyringError::Unavailable(_),
            ..
        } | VerifyError::Witness(_)
    )
}

/// How fast a walk goes.
pub(super) struct Pace {
    /// Since when it has worked without a rest; none: it never rests.
    since: Option<Instant>,
}

impl Pace {
    /// As fast as it can.
    pub(super) const fn of_a_run() -> Self {
        Self { since: None }
    }

    /// In a small share of one core.
    pub(super) fn of_a_share() -> Self {
        Self {
            since: Some(Instant::now()),
        }
    }

    /// Rests if it has worked for a while.
    pub(super) async fn rest(&mut self) {
        let Some(since) = self.since else { return };
        let worked = since.elapsed();
        if worked >= SHIFT {
            sleep(worked * RESTS).await;
            self.since = Some(Instant::now());
        }
    }
}
