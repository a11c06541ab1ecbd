//! Watching the stream's leader: what is away is known and said at once, and a server that was cut off from the others is left for another.
//! Such a server keeps the connections of its clients and says that JetStream isn't available, so the client's own reconnecting
//! never begins.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::stream::Info;
use domain::health::{Condition, Health, Severity};
use tracing::{info, warn};

use super::{NatsLog, copies};
use crate::log::log_size;

/// How often the stream's leader is asked whether it has a majority, and how long an answer is waited for.
const ROUND: Duration = Duration::from_secs(1);

/// After so many rounds without one it counts as away, and another server is tried: an election may take less.
const ROUNDS: u32 = 3;

/// The condition that holds while the leader is away.
const AWAY: &str = "log in NATS";

/// The condition that holds while the leader answers, but stores nothing.
const STORES_NOTHING: &str = "storing in NATS";

/// The condition that holds while a copy doesn't follow.
const COPIES: &str = "copies of the log";

/// Asks the stream's leader whether it has a majority, and reconnects when it doesn't: to any of the servers, so that the connection ends
/// up at one that reaches it.
pub(super) async fn watch(log: &NatsLog, health: &dyn Health) {
    let mut silent = 0;
    loop {
        tokio::time::sleep(ROUND).await;
        let reason = match tokio::time::timeout(ROUND, log.quorum.ask(&log.stream)).await {
            Ok(Ok(info)) => {
                silent = 0;
                log.connection.standing.recovered();
                health.clear(AWAY);
                look_at(&info, health);
                look_at_storing(log, health).await;
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the server that leads the log's stream doesn't answer".to_owned(),
        };
        silent += 1;
        let fault = tokio::time::timeout(ROUND, log.connection.diagnose()).await;
        let fault = fault.ok().flatten();
        if silent >= ROUNDS || fault.as_ref().is_some_and(|fault| !fault.may_pass()) {
            let what = fault.map_or_else(|| reason.clone(), |fault| fault.to_string());
            log.connection.standing.troubled(&what);
            health.raise(Condition {
                name: AWAY,
                severity: Severity::Down,
                reason: what,
            });
        }
        if silent % ROUNDS == 0 && log.connection.client.connection_state() == State::Connected {
            leave(log, silent == ROUNDS, &reason).await;
        }
    }
}

/// What the leader says of the stream.
fn look_at(info: &Info, health: &dyn Health) {
    if let Ok(limit @ 1..) = u64::try_from(info.config.max_bytes) {
        log_size::report(info.state.bytes, limit, health);
    }
    match info.cluster.as_ref().and_then(copies::left_behind) {
        Some(reason) => health.raise(Condition {
            name: COPIES,
            severity: Severity::Degraded,
            reason,
        }),
        None => health.clear(COPIES),
    }
}

/// A leader may answer every question and store nothing: its disk is full or failing, and it goes on so until it is started again.
async fn look_at_storing(log: &NatsLog, health: &dyn Health) {
    let Some(reason) = log.connection.standing.unstored() else {
        health.clear(STORES_NOTHING);
        return;
    };
    let servers = log.connection.ill_servers().await;
    let what = if servers.is_empty() { reason } else { servers };
    health.raise(Condition {
        name: STORES_NOTHING,
        severity: Severity::Down,
        reason: format!(
            "NATS answers, but stores nothing ({what}); if its disk is full make room on its volume, then restart that NATS server"
        ),
    });
}

/// Tries another server; says so at the first try.
async fn leave(log: &NatsLog, first: bool, reason: &str) {
    let server = log.connection.client.server_info().server_name;
    if first {
        warn!(
            server,
            reason, "this NATS server doesn't reach the log's leader; trying another"
        );
    } else {
        info!(server, reason, "trying another NATS server");
    }
    if let Err(error) = log.connection.client.force_reconnect().await {
        warn!(%error, "the connection to NATS can't be made again");
    }
}
