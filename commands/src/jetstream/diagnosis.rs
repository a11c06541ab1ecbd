//! What is wrong while the streams don't answer: asked of whatever servers the client still reaches.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::AccountErrorKind;

use super::connection::Connection;

/// How long an answer is waited for: shorter than a round of the watch.
const PATIENCE: Duration = Duration::from_millis(700);

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// No server is connected.
    #[error("no NATS server answers at {servers}; start them, or look at the network between")]
    Unreachable {
        /// The addresses without credentials.
        servers: String,
    },
    /// JetStream doesn't run on any server that answers.
    #[error(
        "JetStream is off at the NATS server {server}: a server whose disk is full or failing stops it, and it stays off until that server \
         is started again; make room on its volume, then restart it"
    )]
    Off {
        /// The server that is connected.
        server: String,
    },
    /// The servers have no leader among them.
    #[error(
        "the NATS servers have no leader: too few of them run, or they don't reach each other; start those that are missing"
    )]
    Leaderless,
}

impl Fault {
    /// Whether it ends without anybody's doing, as an election does.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(self, Self::Leaderless)
    }
}

impl Connection {
    /// Asks what is wrong; none if JetStream itself answers well, or doesn't answer at all.
    pub(crate) async fn diagnose(&self) -> Option<Fault> {
        if self.client.connection_state() != State::Connected {
            let servers = self.servers();
            return Some(Fault::Unreachable { servers });
        }
        let off = || {
            let server = self.client.server_info().server_name;
            Some(Fault::Off { server })
        };
        // A server that has stopped JetStream lets questions about it go unanswered, and says so to those who connect.
        let unanswered = || match self.client.server_info().jetstream {
            true => None,
            false => off(),
        };
        let asked = tokio::time::timeout(PATIENCE, self.context.query_account()).await;
        let Ok(answer) = asked else {
            return unanswered();
        };
        match answer.err()?.kind() {
            // Nobody listens: where JetStream runs, somebody does, leader or not.
            AccountErrorKind::JetStreamUnavailable => off(),
            AccountErrorKind::JetStream(error) => match error.error_code() {
                ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => off(),
                ErrorCode::CLUSTER_NOT_AVAILABLE => Some(Fault::Leaderless),
                _ => None,
            },
            AccountErrorKind::TimedOut | AccountErrorKind::Other => unanswered(),
        }
    }
}
