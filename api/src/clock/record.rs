//! What the clock said last, kept in the data directory as `clock.json` for the next start.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::machine::TimeSource;
use super::steady::SteadyClock;
use crate::compose::data_directory::DataDirectory;

/// The file.
pub const CLOCK_FILE: &str = "clock.json";

/// How often it is written.
const EVERY: Duration = Duration::from_secs(60);

/// A time and when it was, by the machine's uptime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRecord {
    /// The time.
    pub(super) time: Timestamp,
    /// The run of the machine in which that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) boot: Option<String>,
    /// When that was, in milliseconds.
    pub(super) uptime: u64,
}

impl ClockRecord {
    /// The file's text; none if it isn't one: it is written again.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Writes down what the clock says, every minute and at the end.
pub async fn keep(
    directory: Arc<DataDirectory>,
    clock: Arc<SteadyClock>,
    source: Arc<dyn TimeSource>,
    end: CancellationToken,
) {
    let mut rounds = tokio::time::interval(EVERY);
    while end.run_until_cancelled(rounds.tick()).await.is_some() {
        write(&directory, &clock, &*source);
    }
    write(&directory, &clock, &*source);
}

fn write(directory: &DataDirectory, clock: &SteadyClock, source: &dyn TimeSource) {
    let (time, uptime) = clock.reading();
    let record = ClockRecord {
        time,
        boot: source.boot(),
        uptime: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
    };
    let text = serde_json::to_string(&record).expect("a record serializes");
    if let Err(error) = directory.write_durably(CLOCK_FILE, &format!("{text}\n"), true) {
        warn!(%error, "what the clock says can't be written down");
    }
}
