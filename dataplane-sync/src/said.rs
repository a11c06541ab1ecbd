//! How much of what an instance says of itself is kept, whatever it speaks: enough for people to find their way, and no
//! more. Whoever has one instance's credential could otherwise fill the memory and disks of all.

use std::collections::BTreeMap;

pub(crate) use domain::organization::node_reports::{HOSTNAME_LIMIT, REASON_LIMIT, shortened};
use serde_json::{Map, Value};

use crate::kong::node::KongNode;
use crate::nodes::Introduction;

/// The most characters of a version, of the program or of a plugin.
pub(crate) const VERSION_LIMIT: usize = 64;
/// How many labels are kept.
const LABELS: usize = 32;
/// The most characters of a label's key or value.
const LABEL_LIMIT: usize = 255;
/// How many plugins or filters an instance may name.
const NAMES: usize = 2_000;
/// The most bytes of a plugin's or filter's name, or of a capability; none that exists comes near.
const NAME_LIMIT: usize = 128;
/// How many capabilities are kept.
const CAPABILITIES: usize = 64;
/// The most bytes of one setting or one reported error, as JSON.
const VALUE_LIMIT: usize = 4 * 1024;

/// What an instance says of itself, as far as it is kept.
pub(crate) fn introduction(said: Introduction) -> Introduction {
    Introduction {
        hostname: shortened(&said.hostname, HOSTNAME_LIMIT),
        version: shortened(&said.version, VERSION_LIMIT),
        labels: labels(said.labels),
        kong: said.kong.map(|kong| Box::new(kongs(*kong))),
        ..said
    }
}

fn kongs(said: KongNode) -> KongNode {
    let capabilities = said.rpc_capabilities.into_iter();
    let capabilities = capabilities.filter(|name| name.len() <= NAME_LIMIT);
    KongNode {
        settings: settings(said.settings),
        rpc_capabilities: capabilities.take(CAPABILITIES).collect(),
        ..said
    }
}

/// Labels; of too many the first ones.
fn labels(said: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let cut = |text: &String| shortened(text, LABEL_LIMIT);
    let kept = said.iter().take(LABELS);
    kept.map(|(key, value)| (cut(key), cut(value))).collect()
}

fn settings(said: Map<String, Value>) -> Map<String, Value> {
    let fits = |value: &Value| value.to_string().len() <= VALUE_LIMIT;
    said.into_iter().filter(|(_, value)| fits(value)).collect()
}

/// An error that an instance reports; of one that is too large its beginning.
pub(crate) fn error(said: Value) -> Value {
    let text = said.to_string();
    match text.len() > VALUE_LIMIT {
        true => Value::from(shortened(&text, REASON_LIMIT)),
        false => said,
    }
}

/// Plugins or filters that an instance has, each by its name: what nothing could be called is passed over.
pub(crate) fn named<Item>(
    said: impl IntoIterator<Item = Item>,
    name: impl Fn(&Item) -> &str,
) -> impl Iterator<Item = Item> {
    let fits = move |item: &Item| name(item).len() <= NAME_LIMIT;
    said.into_iter().filter(fits).take(NAMES)
}

#[cfg(test)]
mod tests {
    use domain::NodeId;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::node_record::Protocol;

    #[test]
    fn what_an_instance_says_at_length_is_kept_in_short() {
        let long = "x".repeat(60_000);
        let labels = (0..5_000).map(|number| (format!("{number}{long}"), long.clone()));
        let settings = json!({ "plugins": [long], "router_flavor": "expressions" });
        let kept = introduction(Introduction {
            node: NodeId(Uuid::nil()),
            hostname: long.clone(),
            version: long.clone(),
            labels: labels.take(100).collect(),
            protocol: Protocol::KongV1,
            kong: Some(Box::new(KongNode {
                settings: settings.as_object().expect("an object").clone(),
                rpc_capabilities: vec![long.clone(); 100],
                ..KongNode::default()
            })),
        });
        assert_eq!(kept.hostname.chars().count(), HOSTNAME_LIMIT);
        assert!(kept.hostname.ends_with('…'));
        assert_eq!(kept.version.chars().count(), VERSION_LIMIT);
        assert_eq!(kept.labels.len(), LABELS);
        let longest = kept.labels.iter().map(|(key, value)| key.len().max(value.len()));
        assert!(longest.max() < Some(1_100));
        let kong = kept.kong.expect("it is a Kong");
        assert_eq!(
            Value::from(kong.settings),
            json!({ "router_flavor": "expressions" })
        );
        assert!(kong.rpc_capabilities.is_empty());
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let small = json!({ "name": "invalid declarative configuration", "fields": { "a": 1 } });
        assert_eq!(error(small.clone()), small);
        let large = error(json!({ "message": "é".repeat(60_000) }));
        assert_eq!(
            large.as_str().map(|text| text.chars().count()),
            Some(REASON_LIMIT)
        );
        let long = "n".repeat(NAME_LIMIT + 1);
        let names = named(["own", &long, "acl"], |name| name);
        assert_eq!(names.collect::<Vec<_>>(), ["own", "acl"]);
    }
}
