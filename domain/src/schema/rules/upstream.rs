//! An upstream's `algorithm` and `hash_on` keep each other consistent (README §5.4).

use serde_json::Value;

/// Algorithms that hash nothing clear `hash_on`.
pub(super) fn algorithm(value: &Value) -> Vec<(&'static str, Value)> {
    let mut fields = vec![("algorithm", value.clone())];
    if matches!(value.as_str(), Some("least-connections" | "latency")) {
        fields.push(("hash_on", Value::Null));
    }
    fields
}

/// Hashing on something means consistent hashing; on nothing, taking turns.
pub(super) fn hash_on(value: &Value) -> Vec<(&'static str, Value)> {
    match value.as_str() {
        None if value.is_null() => vec![("hash_on", "none".into())],
        Some("none") => vec![("hash_on", "none".into()), ("algorithm", "round-robin".into())],
        _ => vec![
            ("hash_on", value.clone()),
            ("algorithm", "consistent-hashing".into()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_algorithm_without_hashing_clears_what_is_hashed_on() {
        assert_eq!(
            algorithm(&json!("latency")),
            [("algorithm", json!("latency")), ("hash_on", json!(null))]
        );
        assert_eq!(
            algorithm(&json!("round-robin")),
            [("algorithm", json!("round-robin"))]
        );
    }

    #[test]
    fn hashing_on_something_is_consistent_hashing() {
        assert_eq!(hash_on(&json!("ip"))[1].1, "consistent-hashing");
        assert_eq!(hash_on(&json!("none"))[1].1, "round-robin");
        assert_eq!(hash_on(&json!(null)), [("hash_on", json!("none"))]);
    }
}
