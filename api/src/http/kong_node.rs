//! A runtime instance as Kong's own APIs show it: the Konnect fields of a node, and the rows of the Admin API
//! (`kong-hybrid-protocol.md` §6).

use std::net::SocketAddr;
use std::time::Duration;

use dataplane_sync::kong::node::{Compatibility, KongNode};
use dataplane_sync::{NodeRecord, Protocol};
use domain::Timestamp;
use domain::compatibility::{GatewayVersion, Release};
use serde_json::{Map, Value, json};

/// The hash of an instance without configuration.
const NO_CONFIGURATION: &str = "00000000000000000000000000000000";
/// How long before the last day of its version an instance is listed, in days.
const NOTICE_DAYS: i64 = 90;

/// What is shown of an instance beside what every record has.
pub(crate) fn fields(record: &NodeRecord) -> Map<String, Value> {
    let mut fields = object(json!({
        "type": if record.protocol == Protocol::Native { "native" } else { "kong-proxy" },
        "last_ping": record.last_seen.seconds(),
        "created_at": record.first_seen.seconds(),
        "updated_at": record.last_seen.seconds(),
        "connection_state": { "is_connected": record.connected_since.is_some() },
    }));
    if let Some(kong) = &record.kong {
        fields.extend(of_kong(kong));
    }
    fields
}

fn of_kong(kong: &KongNode) -> Map<String, Value> {
    let certificate = kong.certificate.as_ref();
    object(json!({
        "config_hash": config_hash(kong),
        "expected_config_hash": kong.expected_hash,
        "sync_status": kong.compatibility,
        "compatibility_status": {
            "state": state(kong),
            "findings": kong.findings.first,
            "total": kong.findings.total,
        },
        "withheld": kong.withheld,
        "data_plane_cert_id": certificate.map(|certificate| certificate.listed),
        "cert_details": certificate.map(|certificate| json!({ "expiry_timestamp": certificate.expires_at })),
        "process_conf": kong.settings,
        "errors": kong.errors,
        "rpc_capabilities": kong.rpc_capabilities,
    }))
}

/// As Konnect names it.
fn state(kong: &KongNode) -> &'static str {
    match kong.compatibility {
        Compatibility::Unknown => "COMPATIBILITY_STATE_UNKNOWN",
        Compatibility::Normal => "COMPATIBILITY_STATE_FULLY_COMPATIBLE",
        _ => "COMPATIBILITY_STATE_INCOMPATIBLE",
    }
}

fn config_hash(kong: &KongNode) -> &str {
    match kong.config_hash.as_str() {
        "" => NO_CONFIGURATION,
        hash => hash,
    }
}

/// Its row in `/clustering/data-planes`; none for what isn't Kong's.
pub(crate) fn row(record: &NodeRecord, retention: Duration, now: Timestamp) -> Option<Value> {
    let kong = record.kong.as_ref()?;
    let age = (now.seconds() - record.last_seen.seconds()).max(0);
    let retention = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
    Some(json!({
        "id": record.id,
        "hostname": record.hostname,
        "ip": address(record),
        "version": record.version,
        "last_seen": record.last_seen.seconds(),
        "updated_at": record.last_seen.seconds(),
        "config_hash": config_hash(kong),
        "sync_status": kong.compatibility,
        "labels": record.labels,
        "cert_details": kong.certificate.as_ref().map(|certificate| json!({ "expiry_timestamp": certificate.expires_at })),
        "rpc_capabilities": kong.rpc_capabilities,
        "ttl": (retention - age).max(0),
    }))
}

/// Its entry in `/clustering/status`; none for what isn't Kong's.
pub(crate) fn status(record: &NodeRecord) -> Option<(String, Value)> {
    let kong = record.kong.as_ref()?;
    let status = json!({
        "config_hash": config_hash(kong),
        "hostname": record.hostname,
        "ip": address(record),
        "last_seen": record.last_seen.seconds(),
    });
    Some((record.id.to_string(), status))
}

fn address(record: &NodeRecord) -> String {
    let address = record.address.parse::<SocketAddr>();
    address.map_or_else(|_| record.address.clone(), |address| address.ip().to_string())
}

/// What is to be said of an instance whose version Kong doesn't maintain any more, or soon won't.
pub(crate) fn end(record: &NodeRecord, now: Timestamp) -> Option<Value> {
    record.kong.as_ref()?;
    let release = Release::of(GatewayVersion::parse(&record.version)?).ok()?;
    let notice = now.plus_seconds(NOTICE_DAYS * 24 * 60 * 60);
    if notice < release.maintained_until() {
        return None;
    }
    let verb = if now < release.maintained_until() {
        "ends"
    } else {
        "ended"
    };
    let message = format!(
        "Kong's maintenance of {} {verb} on {}: update to {}",
        release.name(),
        release.last_day(),
        Release::NEWEST.name()
    );
    Some(json!({ "node_id": record.id, "node_version": record.version, "message": message }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use dataplane_sync::kong::node::{NodeCertificate, Withheld};
    use domain::fingerprint::Fingerprint;
    use domain::{GroupId, NodeId};
    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_277_548_000);

    fn record(version: &str) -> NodeRecord {
        let kong = KongNode {
            compatibility: Compatibility::PluginSetIncompatible,
            certificate: Some(NodeCertificate::new(
                Uuid::from_u128(7),
                Fingerprint([1; 32]),
                2_240_611_200,
            )),
            withheld: Some(Withheld {
                version: 3,
                reason: "it lacks a plugin".to_owned(),
            }),
            ..KongNode::default()
        };
        NodeRecord {
            id: NodeId(Uuid::from_u128(1)),
            group: GroupId(Uuid::from_u128(2)),
            hostname: "edge-1".to_owned(),
            version: version.to_owned(),
            address: "127.0.0.1:40000".to_owned(),
            labels: std::collections::BTreeMap::new(),
            credential: "certificate:01".to_owned(),
            protocol: Protocol::KongV1,
            kong: Some(Box::new(kong)),
            process: None,
            first_seen: NOW,
            last_seen: NOW,
            connected_since: Some(NOW),
            applied: None,
            refusal: None,
            refusals: 0,
            last_error: None,
        }
    }

    #[test]
    fn a_node_says_what_hinders_it_and_which_certificate_it_showed() {
        let fields = fields(&record("3.9.1"));
        assert_eq!(fields["type"], "kong-proxy");
        assert_eq!(fields["sync_status"], "plugin_set_incompatible");
        assert_eq!(
            fields["compatibility_status"]["state"],
            "COMPATIBILITY_STATE_INCOMPATIBLE"
        );
        assert_eq!(fields["withheld"]["reason"], "it lacks a plugin");
        assert_eq!(fields["config_hash"], NO_CONFIGURATION);
        assert_eq!(fields["cert_details"]["expiry_timestamp"], 2_240_611_200_i64);
        assert_eq!(fields["data_plane_cert_id"], json!(Uuid::from_u128(7)));
        assert_eq!(fields["last_ping"], NOW.seconds());
    }

    #[test]
    fn a_row_has_an_address_without_port_and_the_time_it_has_left() {
        let retention = Duration::from_secs(60);
        let row = row(&record("3.9.1"), retention, NOW.plus_seconds(45)).unwrap();
        assert_eq!((&row["ip"], &row["ttl"]), (&json!("127.0.0.1"), &json!(15)));
        let late = super::row(&record("3.9.1"), retention, NOW.plus_seconds(100)).unwrap();
        assert_eq!(late["ttl"], 0);
    }

    #[test]
    fn only_versions_at_their_end_are_to_be_updated() {
        assert_eq!(end(&record("3.10.0"), NOW), None);
        let ended = end(&record("3.6.1"), NOW).unwrap();
        assert_eq!(ended["node_version"], "3.6.1");
        assert!(ended["message"].as_str().unwrap().contains("ended on 2025-02-12"));
        let last_weeks = Release::NEWEST.maintained_until().plus_seconds(-60);
        let ending = end(&record("3.10.0"), last_weeks).unwrap();
        assert!(ending["message"].as_str().unwrap().contains("ends on"));
        assert_eq!(end(&record("what"), NOW), None);
    }
}
