//! Whether a stream's leader has a majority of the servers that hold it.

use std::time::Duration;

use async_nats::jetstream::stream::ClusterInfo;

/// For how long after it heard from a majority a leader's answers count. A follower waits at least 4 s for its leader before it wants
/// another (`minElectionTimeout` in nats-server's `raft.go`): this is less by what clocks differ and an answer travels.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// For how long a leader hasn't heard from so many of its followers that they are a majority with it; none if it never has, or
/// nobody leads.
pub(crate) fn silence(cluster: Option<&ClusterInfo>) -> Option<Duration> {
    let Some(cluster) = cluster else {
        return Some(Duration::ZERO);
    };
    cluster.leader.as_ref()?;
    if cluster.replicas.is_empty() {
        return Some(Duration::ZERO);
    }
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
            leader: Some("leader".to_owned()),
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
    fn nobody_leads_without_being_named() {
        let cluster = ClusterInfo {
            leader: None,
            ..led(&[Some(1)])
        };
        assert_eq!(silence(Some(&cluster)), None);
    }

    #[test]
    fn a_leader_that_never_heard_from_anybody_has_no_majority() {
        assert_eq!(silence(Some(&led(&[None, None]))), None);
    }
}
