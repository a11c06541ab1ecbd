//! Leaving a server that was cut off from the others: it keeps the connections of its clients and says that JetStream isn't
//! available, so the client's own reconnecting never begins.

use std::time::Duration;

use tracing::warn;

use super::NatsLog;

/// How often the stream's leader is asked whether it has a majority, and how long an answer is waited for.
const ROUND: Duration = Duration::from_secs(1);

/// After so many rounds without one another server is tried.
const ROUNDS: u32 = 3;

/// Asks the stream's leader whether it has a majority, and reconnects when it doesn't: to any of the servers, so that the connection ends
/// up at one that reaches it.
pub(super) async fn watch(log: &NatsLog) {
    let mut silent = 0;
    loop {
        tokio::time::sleep(ROUND).await;
        let reason = match tokio::time::timeout(ROUND, log.quorum.ask(&log.stream)).await {
            Ok(Ok(_)) => {
                silent = 0;
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer".to_owned(),
        };
        silent += 1;
        if silent < ROUNDS {
            continue;
        }
        silent = 0;
        let server = log.connection.client.server_info().server_name;
        warn!(
            server,
            reason, "this NATS server doesn't reach the log's leader; trying another"
        );
        if let Err(error) = log.connection.client.force_reconnect().await {
            warn!(%error, "the connection to NATS can't be made again");
        }
    }
}
