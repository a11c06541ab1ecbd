//! The zipkin plugin.

use std::collections::HashSet;

use serde_json::Value;

/// A tag has one value.
pub(super) fn unique_tag_names(tags: &Value) -> Result<(), String> {
    let mut seen = HashSet::new();
    let mut names = tags
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tag| tag.get("name")?.as_str());
    names.find(|name| !seen.insert(*name)).map_or(Ok(()), |name| {
        Err(format!("repeated tags are not allowed: {name}"))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tag_stands_once() {
        assert_eq!(unique_tag_names(&json!([{"name": "a"}, {"name": "b"}])), Ok(()));
        assert_eq!(
            unique_tag_names(&json!([{"name": "a"}, {"name": "b"}, {"name": "a"}])),
            Err("repeated tags are not allowed: a".to_owned())
        );
    }
}
