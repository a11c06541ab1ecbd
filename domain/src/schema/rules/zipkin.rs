//! The zipkin plugin.

use serde_json::Value;

/// A tag has one value.
pub(super) fn unique_tag_names(tags: &Value) -> Result<(), String> {
    let names: Vec<&str> = tags
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tag| tag.get("name")?.as_str())
        .collect();
    let repeated = names
        .iter()
        .enumerate()
        .find(|(index, name)| names[..*index].contains(name));
    repeated.map_or(Ok(()), |(_, name)| {
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
