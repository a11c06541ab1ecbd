//! The acme plugin.

use serde_json::{Map, Value};

/// Prefixes of the keys that the plugin itself keeps in Redis.
const RESERVED: [&str; 3] = [
    "kong_acme:renew_config:",
    "kong_acme:renew_last_run",
    "kong_acme:cert_key:",
];
/// nginx shared dictionaries of every stock gateway.
const STOCK_DICTIONARIES: [&str; 11] = [
    "kong",
    "kong_locks",
    "kong_healthchecks",
    "kong_cluster_events",
    "kong_rate_limiting_counters",
    "kong_core_db_cache",
    "kong_core_db_cache_miss",
    "kong_db_cache",
    "kong_db_cache_miss",
    "kong_secrets",
    "prometheus_metrics",
];

/// A prefix for keys in Redis that doesn't hide the plugin's own.
pub(super) fn redis_namespace(text: &str) -> Result<(), String> {
    match RESERVED.iter().find(|reserved| text.starts_with(**reserved)) {
        None => Ok(()),
        Some(reserved) => Err(format!(
            "namespace can't be prefixed with reserved word: {reserved}"
        )),
    }
}

/// A shared dictionary that a gateway has.
pub(super) fn shared_dictionary(text: &str) -> Result<(), String> {
    if STOCK_DICTIONARIES.contains(&text) {
        return Ok(());
    }
    Err(format!("failed validating: {text}"))
}

/// Certificates in one node's memory would be unknown to the others.
pub(super) fn storage_is_shared(plugin: &Map<String, Value>) -> Result<(), String> {
    let storage = plugin.get("config").and_then(|config| config.get("storage"));
    if storage.and_then(Value::as_str) == Some("shm") {
        return Err("\"shm\" storage can't be used in Hybrid mode".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_leaves_the_plugins_own_keys_alone() {
        assert_eq!(redis_namespace(""), Ok(()));
        assert_eq!(redis_namespace("mine:"), Ok(()));
        assert!(
            redis_namespace("kong_acme:cert_key:x")
                .unwrap_err()
                .ends_with("kong_acme:cert_key:")
        );
    }

    #[test]
    fn only_dictionaries_that_gateways_have_are_named() {
        assert_eq!(shared_dictionary("kong"), Ok(()));
        assert_eq!(
            shared_dictionary("nope"),
            Err("failed validating: nope".to_owned())
        );
    }

    #[test]
    fn storage_in_a_nodes_memory_is_refused() {
        let plugin = |storage: &str| {
            json!({"config": {"storage": storage}})
                .as_object()
                .cloned()
                .unwrap()
        };
        assert!(storage_is_shared(&plugin("shm")).is_err());
        assert_eq!(storage_is_shared(&plugin("kong")), Ok(()));
    }
}
