//! Whether the stream's copies follow its leader.

use std::time::Duration;

use async_nats::jetstream::stream::ClusterInfo;

/// A copy that wasn't heard of for longer doesn't follow.
const SILENT: Duration = Duration::from_secs(30);

/// Which copies don't follow, and how to mend it; none if all do.
pub(super) fn left_behind(cluster: &ClusterInfo) -> Option<String> {
    let behind = cluster
        .replicas
        .iter()
        .filter(|peer| peer.offline || peer.active > SILENT);
    let servers: Vec<_> = behind.map(|peer| peer.name.as_str()).collect();
    (!servers.is_empty()).then(|| {
        format!(
            "the log's copy doesn't follow at {}: changes go on while the others do; start that NATS server, or make room on its volume and \
             restart it",
            servers.join(" and ")
        )
    })
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::stream::PeerInfo;

    use super::*;

    fn cluster(peers: &[(&str, u64, bool)]) -> ClusterInfo {
        let peer = |(name, silence, offline): &(&str, u64, bool)| PeerInfo {
            name: (*name).to_owned(),
            current: !offline,
            active: Duration::from_secs(*silence),
            offline: *offline,
            lag: None,
        };
        ClusterInfo {
            replicas: peers.iter().map(peer).collect(),
            ..serde_json::from_str("{}").unwrap()
        }
    }

    #[test]
    fn a_copy_that_does_not_follow_is_named() {
        assert_eq!(
            left_behind(&cluster(&[("two", 1, false), ("three", 29, false)])),
            None
        );
        let said = left_behind(&cluster(&[
            ("two", 1, false),
            ("three", 1, true),
            ("four", 31, false),
        ]));
        assert!(said.unwrap().contains("at three and four:"));
    }
}
