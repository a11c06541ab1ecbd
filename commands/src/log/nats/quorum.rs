//! Whether the server that answers for the stream still leads it. One that was cut off from the others goes on answering from what
//! it has, until it notices: what it calls the newest record needn't be the newest any more.
//!
//! A follower waits at least 4 s for its leader before it wants another (`minElectionTimeout` in nats-server's `raft.go`), so a leader
//! that has heard from a majority within less has no successor yet.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::stream::{ClusterInfo, Stream};
use domain::log::ReadError;
use tokio::time::Instant;

use super::unavailable;

/// For how long after it heard from a majority a leader's answers count: an election's 4 s, less what clocks differ and an answer
/// travels.
const LEASE: Duration = Duration::from_secs(3);

/// How often an answer that took too long is asked for again.
const ATTEMPTS: u32 = 3;

/// When the stream's leader last heard from a majority, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Quorum {
    heard: Mutex<Option<Instant>>,
    /// One asks the leader for all that wait.
    asking: tokio::sync::Mutex<()>,
}

impl Quorum {
    /// Whether what the leader answers now is the newest.
    fn holds(&self) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_some_and(|heard| heard.elapsed() < LEASE)
    }

    /// Reads something from the leader while it is known to lead.
    pub(super) async fn vouched<Answer, Reading>(
        &self,
        stream: &Stream,
        read: impl Fn() -> Reading,
    ) -> Result<Answer, ReadError>
    where
        Reading: Future<Output = Result<Answer, ReadError>>,
    {
        for _ in 0..ATTEMPTS {
            self.confirm(stream).await?;
            let answer = read().await?;
            // It may have taken longer than what was known is good for.
            if self.holds() {
                return Ok(answer);
            }
        }
        Err(lost())
    }

    /// Asks the leader whether it has a majority, unless that is known.
    async fn confirm(&self, stream: &Stream) -> Result<(), ReadError> {
        if self.holds() {
            return Ok(());
        }
        let _alone = self.asking.lock().await;
        if self.holds() {
            return Ok(());
        }
        self.ask(stream).await
    }

    /// Asks the leader whether it has a majority.
    pub(super) async fn ask(&self, stream: &Stream) -> Result<(), ReadError> {
        let asked = Instant::now();
        let info = stream.get_info().await.map_err(unavailable)?;
        let heard = silence(info.cluster.as_ref()).and_then(|silence| asked.checked_sub(silence));
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        if self.holds() { Ok(()) } else { Err(lost()) }
    }
}

/// What is answered while the leader may have a successor.
fn lost() -> ReadError {
    unavailable(
        "the server that leads the stream has lost the others, or they have just chosen another; try again",
    )
}

/// For how long a leader hasn't heard from so many of its followers that they are a majority with it; none if it never has.
fn silence(cluster: Option<&ClusterInfo>) -> Option<Duration> {
    let Some(cluster) = cluster.filter(|cluster| !cluster.replicas.is_empty()) else {
        return Some(Duration::ZERO);
    };
    let ever_heard = cluster
        .replicas
        .iter()
        .filter(|peer| peer.current || !peer.active.is_zero());
    let mut silences: Vec<Duration> = ever_heard.map(|peer| peer.active).collect();
    silences.sort_unstable();
    // The leader itself is one of the majority of its followers and itself.
    let needed = cluster.replicas.len().div_ceil(2);
    silences.get(needed - 1).copied()
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::PeerInfo;

    use super::*;

    fn led(silences: &[Option<u64>]) -> ClusterInfo {
        let peer = |silence: &Option<u64>| PeerInfo {
            name: "follower".to_owned(),
            current: false,
            active: Duration::from_secs(silence.unwrap_or_default()),
            offline: false,
            lag: None,
        };
        let replicas = silences.iter().map(peer).collect();
        ClusterInfo {
            replicas,
            ..serde_json::from_str("{}").unwrap()
        }
    }

    #[test]
    fn a_server_without_followers_always_leads() {
        assert_eq!(silence(None), Some(Duration::ZERO));
        assert_eq!(silence(Some(&led(&[]))), Some(Duration::ZERO));
    }

    #[test]
    fn a_majority_counts_with_the_leader_in_it() {
        assert_eq!(
            silence(Some(&led(&[Some(7), Some(1)]))),
            Some(Duration::from_secs(1))
        );
        let five = led(&[Some(9), Some(1), Some(2), None]);
        assert_eq!(silence(Some(&five)), Some(Duration::from_secs(2)));
    }

    #[test]
    fn a_leader_that_never_heard_from_anybody_has_no_majority() {
        assert_eq!(silence(Some(&led(&[None, None]))), None);
    }
}
