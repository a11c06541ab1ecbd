//! Reactors: what the program asks of itself (DESIGN §4). They keep no cursor: each round compares what is with what
//! should be and asks for the difference, so a crash anywhere costs at most a round.
//!
//! - [`expiry`]: deletes entities whose time to live has ended.
//! - [`deletion`]: finishes deletions and restorations of groups that a crash cut in half.
//! - [`certificates`]: the same for additions and removals of instances' certificates.
//! - [`erasure`]: the same for the keys of erased consumers.
//! - [`lifetimes`]: counts anew what a clock counted that was ahead.
//! - [`purge`]: purges deleted groups when their time has come.
//! - [`scan`]: learns of groups that no writer of this process has seen; [`watchlist`] keeps what they know.

mod certificates;
mod deletion;
mod erasure;
mod expiry;
mod lifetimes;
mod purge;
mod scan;
mod watchlist;

pub(crate) use watchlist::{Watched, Watchlist};

use std::time::Duration;

use domain::gateway::CommandError;
use tokio::time::Instant;
use tracing::warn;

use crate::bus::CommandBus;

/// How long a round waits for the next.
const ROUND: Duration = Duration::from_secs(1);
/// How often groups are looked for whose boundaries other processes have moved on.
const SCAN: Duration = Duration::from_secs(300);

impl CommandBus {
    /// Runs the reactors until the process shall end. In a cluster every process may: they ask for the same, and what
    /// is already so stays so.
    pub async fn run_reactors(&self) {
        tokio::select! {
            () = self.inner.surroundings.spawner.shutdown() => {}
            () = self.rounds() => {}
        }
    }

    async fn rounds(&self) {
        let mut scanned: Option<Instant> = None;
        if let Err(error) = self.name_met_certificates().await {
            warn!(%error, "certificates could not be compared; the next start does it");
        }
        loop {
            if scanned.is_none_or(|at| at.elapsed() >= SCAN) {
                match self.scan().await {
                    Ok(()) => scanned = Some(Instant::now()),
                    Err(error) => warn!(%error, "groups could not be looked through; trying again"),
                }
            }
            self.react().await;
            tokio::time::sleep(ROUND).await;
        }
    }

    async fn react(&self) {
        let reported = |reactor: &'static str, result: Result<(), CommandError>| {
            if let Err(error) = result {
                warn!(reactor, %error, "a reactor's round failed; the next tries again");
            }
        };
        reported("lifetimes", self.count_anew().await);
        reported("expiry", self.expire().await);
        reported("deletion", self.finish_deletions().await);
        reported("certificates", self.finish_certificates().await);
        reported("erasure", self.finish_erasures().await);
        reported("purge", self.purge().await);
    }
}
