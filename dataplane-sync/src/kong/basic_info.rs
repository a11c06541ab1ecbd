//! The first message of a data plane (`kong-hybrid-protocol.md` §2.2): what it is made of.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::said;

/// What of a node's configuration is kept.
const KEPT_SETTINGS: [&str; 8] = [
    "cluster_max_payload",
    "lmdb_map_size",
    "nginx_worker_processes",
    "plugins",
    "router_flavor",
    "stream_listen",
    "vaults",
    "wasm",
];

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BasicInfo {
    /// The plugins it has loaded, with their versions where it says them.
    pub plugins: BTreeMap<String, Option<String>>,
    /// Its operator's labels.
    pub labels: BTreeMap<String, String>,
    /// The few of its settings that matter.
    pub settings: Map<String, Value>,
    /// The WebAssembly filters it has.
    pub filters: Vec<String>,
}

/// A first message that isn't one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the first message must be a basic_info: {0}")]
pub struct NotBasicInfo(String);

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    plugins: Vec<Plugin>,
    labels: Option<BTreeMap<String, String>>,
    process_conf: Option<Map<String, Value>>,
    /// An object, which Lua writes as an array when it is empty.
    filters: Option<Value>,
}

#[derive(Deserialize)]
struct Plugin {
    name: String,
    version: Option<Value>,
}

impl BasicInfo {
    /// Reads the message.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotBasicInfo> {
        let message: Message =
            serde_json::from_slice(bytes).map_err(|error| NotBasicInfo(error.to_string()))?;
        if message.kind != "basic_info" {
            return Err(NotBasicInfo(format!("its type is {:?}", message.kind)));
        }
        let version = |version: Option<Value>| match version {
            Some(Value::String(text)) => Some(said::shortened(&text, said::VERSION_LIMIT)),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let plugins = said::named(message.plugins, |plugin| &plugin.name);
        let filters = match message.filters {
            Some(Value::Object(filters)) => {
                let names = filters.into_iter().map(|(name, _)| name);
                said::named(names, String::as_str).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self {
            plugins: plugins
                .map(|plugin| (plugin.name, version(plugin.version)))
                .collect(),
            labels: message.labels.unwrap_or_default(),
            settings: kept(&message.process_conf.unwrap_or_default()),
            filters,
        })
    }

    /// The settings worth keeping of all those a node has.
    pub fn with_settings(mut self, settings: &Map<String, Value>) -> Self {
        self.settings = kept(settings);
        self
    }

    /// The largest frame it takes, in bytes, if it says so.
    pub fn max_payload(&self) -> Option<usize> {
        let said = self.settings.get("cluster_max_payload")?.as_u64()?;
        usize::try_from(said).ok()
    }

    /// The flavour of its router, if it says so.
    pub fn router_flavor(&self) -> Option<&str> {
        self.settings.get("router_flavor")?.as_str()
    }
}

fn kept(settings: &Map<String, Value>) -> Map<String, Value> {
    let known = KEPT_SETTINGS.into_iter();
    let kept = known.filter_map(|name| Some((name.to_owned(), settings.get(name)?.clone())));
    kept.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(message: &Value) -> Result<BasicInfo, NotBasicInfo> {
        BasicInfo::parse(message.to_string().as_bytes())
    }

    #[test]
    fn a_node_of_2_8_says_only_its_plugins() {
        let info = parsed(
            &json!({"type": "basic_info", "plugins": [{"name": "acl", "version": "3.0.1"}, {"name": "own"}]}),
        );
        let info = info.unwrap();
        assert_eq!(info.plugins["acl"].as_deref(), Some("3.0.1"));
        assert_eq!(info.plugins["own"], None);
        assert_eq!((info.max_payload(), info.router_flavor()), (None, None));
    }

    #[test]
    fn a_newer_one_says_more_and_what_is_not_known_is_passed_over() {
        let info = parsed(&json!({
            "type": "basic_info", "plugins": [], "labels": {"region": "eu"}, "filters": {"f": {"name": "f"}}, "more": 1,
            "process_conf": {"cluster_max_payload": 16777216, "router_flavor": "expressions", "pg_password": "******"},
        }));
        let info = info.unwrap();
        assert_eq!(info.labels["region"], "eu");
        assert_eq!(info.filters, ["f"]);
        assert_eq!(
            (info.max_payload(), info.router_flavor()),
            (Some(16_777_216), Some("expressions"))
        );
        assert_eq!(info.settings.get("pg_password"), None);
        assert!(
            parsed(&json!({"type": "basic_info", "filters": []}))
                .unwrap()
                .filters
                .is_empty()
        );
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        assert!(BasicInfo::parse(b"\x1f\x8b").is_err());
        let refused = parsed(&json!({"type": "reconfigure"})).unwrap_err();
        assert!(refused.to_string().contains("reconfigure"));
    }
}
