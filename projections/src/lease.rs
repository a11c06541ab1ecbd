//! The projector's lease in PostgreSQL: of many processes one projects at a time. A row names the holder; every taking
//! over begins another epoch; the time is the database's. Fencing doesn't rest on the lease but on the checkpoint,
//! which carries the epoch ([`crate::write`]): a holder that was frozen past its lease finds that it can't write.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::database::Postgres;
use crate::error::ProjectionError;
use crate::shared::Shared;

/// How long a lease lasts unless it is renewed: `TAKE` and `RENEW` say the same.
const TERM: Duration = Duration::from_secs(5);

const RENEW_AFTER: Duration = Duration::from_millis(1_500);

/// How often a process that doesn't have the lease tries to take it.
const TRY_AFTER: Duration = Duration::from_secs(1);

/// How soon a renewal that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// How long the end of the process waits for the lease to be given back; it ends by itself soon after.
const PATIENCE: Duration = Duration::from_secs(2);

/// A lease that ends much later than it may last was given by a clock that was ahead: its holder renews it in a moment if
/// it lives.
const TAKE: &str = "UPDATE projector_lease
    SET holder = $1, epoch = epoch + 1, expires_at = clock_timestamp() + INTERVAL '5 seconds'
    WHERE expires_at < clock_timestamp() OR expires_at > clock_timestamp() + INTERVAL '5 minutes' RETURNING epoch";
const RENEW: &str =
    "UPDATE projector_lease SET expires_at = clock_timestamp() + INTERVAL '5 seconds' WHERE epoch = $1";
const RELEASE: &str = "UPDATE projector_lease SET expires_at = '-infinity' WHERE epoch = $1";

#[cfg(test)]
pub(crate) const STATEMENTS: [&str; 3] = [TAKE, RENEW, RELEASE];

/// A lease that this process holds, or held.
pub(crate) struct Tenure<'s> {
    postgres: &'s Postgres,
    pub(crate) epoch: i64,
    /// Until when it holds by this process's own clock, which started before the database's.
    until: Instant,
}

/// Waits until this process has the lease.
pub(crate) async fn acquire<'s>(shared: &'s Shared, postgres: &'s Postgres) -> Tenure<'s> {
    loop {
        let asked = Instant::now();
        match take(postgres, &shared.holder).await {
            Ok(Some(epoch)) => {
                return Tenure {
                    postgres,
                    epoch,
                    until: asked + TERM,
                };
            }
            Ok(None) => {}
            Err(error) => shared.progress.troubled(&error),
        }
        tokio::select! {
            () = sleep(TRY_AFTER) => {}
            () = shared.vacant.notified() => {}
        }
    }
}

async fn take(postgres: &Postgres, holder: &str) -> Result<Option<i64>, ProjectionError> {
    let row = postgres.fetch_optional(TAKE, [holder.into()]).await?;
    Ok(row.map(|row| row.get(0)).transpose()?)
}

impl Tenure<'_> {
    /// Renews the lease until it is lost.
    pub(crate) async fn keep(&self) {
        let mut until = self.until;
        let mut pause = RENEW_AFTER;
        loop {
            sleep(pause).await;
            let asked = Instant::now();
            pause = match timeout_at(until, self.postgres.execute(RENEW, [self.epoch.into()])).await {
                Ok(Ok(0)) | Err(_) => return,
                Ok(Ok(_)) => {
                    until = asked + TERM;
                    RENEW_AFTER
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, "the projector's lease can't be renewed; it is tried again");
                    RETRY_AFTER
                }
            };
        }
    }

    /// Gives the lease back, so that another process takes over at once.
    pub(crate) async fn release(self) {
        let release = async {
            self.postgres.execute(RELEASE, [self.epoch.into()]).await?;
            self.postgres.announce_vacancy().await
        };
        // It ends by itself when this fails.
        drop(timeout(PATIENCE, release).await);
    }
}
