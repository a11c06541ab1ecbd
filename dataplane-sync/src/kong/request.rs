//! What a data plane says of itself in the query of its request (`kong-hybrid-protocol.md` §1.1). Nothing in it is
//! URL-encoded, so a value ends where the next known key begins.

/// The keys, each once.
const KEYS: [&str; 3] = ["node_id", "node_hostname", "node_version"];

/// A data plane's query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeQuery {
    /// `node_id`, as it was sent.
    pub id: Option<String>,
    /// `node_hostname`; may be empty.
    pub hostname: String,
    /// `node_version`, as it was sent.
    pub version: Option<String>,
}

impl NodeQuery {
    /// Reads a query.
    pub fn parse(query: &str) -> Self {
        let given = |key: &str| value(query, key).filter(|value| !value.is_empty());
        Self {
            id: given("node_id"),
            hostname: value(query, "node_hostname").unwrap_or_default(),
            version: given("node_version"),
        }
    }
}

fn value(query: &str, key: &str) -> Option<String> {
    let start = begin(query, key)? + key.len() + 1;
    let rest = &query[start..];
    let ends = KEYS.iter().filter_map(|next| rest.find(&format!("&{next}=")));
    Some(rest[..ends.min().unwrap_or(rest.len())].to_owned())
}

fn begin(query: &str, key: &str) -> Option<usize> {
    if query.starts_with(&format!("{key}=")) {
        return Some(0);
    }
    query.find(&format!("&{key}=")).map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> (Option<String>, String, Option<String>) {
        let NodeQuery {
            id,
            hostname,
            version,
        } = NodeQuery::parse(query);
        (id, hostname, version)
    }

    #[test]
    fn host_names_may_hold_anything() {
        for hostname in ["vm", "", "my host", "a&b=c", "ünïcode", "100%"] {
            let query = format!("node_id=6b10&node_hostname={hostname}&node_version=3.9.1");
            assert_eq!(
                parsed(&query),
                (Some("6b10".into()), hostname.into(), Some("3.9.1".into()))
            );
        }
    }

    #[test]
    fn what_is_missing_is_missing() {
        assert_eq!(parsed(""), (None, String::new(), None));
        assert_eq!(
            parsed("node_id=&node_version=3"),
            (None, String::new(), Some("3".into()))
        );
    }
}
