//! The first message of a v1 session, with the keys that the node's version has.

use serde_json::{Map, Value, json};

use super::fields::Knowledge;
use super::release::KongVersion;
use super::settings::Settings;

/// The bundled plugins of a version with the versions that they report.
pub(super) fn bundled_plugins(version: KongVersion) -> Vec<(String, Option<String>)> {
    let names = Knowledge::of(version).plugins();
    names
        .map(|name| (name.to_owned(), Some(plugin_version(name, version))))
        .collect()
}

fn plugin_version(name: &str, version: KongVersion) -> String {
    match name {
        "opentelemetry" if version.is_before(3, 8) => "0.1.0".to_owned(),
        _ if !version.is_before(3, 0) => version.to_string(),
        // Before 3.0 every plugin counted for itself.
        "key-auth" => "2.4.0".to_owned(),
        "acl" => "3.0.1".to_owned(),
        "acme" => "0.4.0".to_owned(),
        "grpc-gateway" => "0.2.0".to_owned(),
        "proxy-cache" => "1.3.1".to_owned(),
        _ => "2.1.0".to_owned(),
    }
}

/// The message.
pub(super) fn basic_info(settings: &Settings) -> Value {
    let mut info = Map::new();
    info.insert("type".to_owned(), json!("basic_info"));
    info.insert("plugins".to_owned(), plugins(settings));
    let version = settings.version;
    if version.tells_labels() && !settings.labels.is_empty() {
        info.insert("labels".to_owned(), json!(settings.labels));
    }
    if version.tells_settings() {
        info.insert("process_conf".to_owned(), process_conf(settings));
        let filters = settings.filters.iter();
        let filters: Map<String, Value> = filters
            .map(|name| (name.clone(), json!({ "name": name })))
            .collect();
        info.insert("filters".to_owned(), Value::Object(filters));
    }
    Value::Object(info)
}

fn plugins(settings: &Settings) -> Value {
    let plugin = |(name, version): &(String, Option<String>)| match version {
        Some(version) => json!({ "name": name, "version": version }),
        None => json!({ "name": name }),
    };
    settings.plugins.iter().map(plugin).collect()
}

/// The node's settings: the ones that mean something to a control plane, and as many others as a real node sends, so that the message
/// has a real one's size.
pub(super) fn process_conf(settings: &Settings) -> Value {
    let mut conf = Map::new();
    for number in 0..190 {
        conf.insert(
            format!("nginx_setting_{number:03}"),
            json!("a value of common length"),
        );
    }
    let labels: Vec<String> = settings
        .labels
        .iter()
        .map(|(key, value)| format!("{key}:{value}"))
        .collect();
    let told = json!({
        "role": "data_plane",
        "database": "off",
        "router_flavor": if settings.expressions { "expressions" } else { "traditional_compatible" },
        "cluster_max_payload": settings.max_payload,
        "cluster_control_plane": settings.host(),
        "cluster_mtls": settings.mtls(),
        "cluster_cert_key": "******",
        "cluster_dp_labels": labels,
        "cluster_rpc": settings.rpc,
        "lmdb_map_size": "2048m",
        "node_id": settings.node_id,
        "plugins": ["bundled"],
        "proxy_listen": ["0.0.0.0:8000", "0.0.0.0:8443 ssl"],
        "stream_listen": ["off"],
        "vaults": ["bundled"],
        "wasm": !settings.filters.is_empty(),
    });
    conf.extend(told.as_object().cloned().unwrap_or_default());
    Value::Object(conf)
}
