//! The connected instances that couldn't express what a dry run would make of a configuration, for people.

use serde_json::Value;

use super::output::cell;

/// A line for each of them, with the first thing that it couldn't express.
pub fn hindered(answer: &Value) -> Vec<String> {
    let line = |node: &Value| {
        let (host, version) = (cell(&node["hostname"]), cell(&node["version"]));
        let first = cell(&node["findings"][0]["message"]);
        let more = node["total"].as_u64().unwrap_or_default().saturating_sub(1);
        let more = match more {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        format!("{host} ({version}) couldn't take it as it is: {first}{more}")
    };
    answer["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(line)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_instance_is_named_with_the_first_reason() {
        let answer = json!({"nodes": [{
            "hostname": "edge", "version": "3.4.0", "total": 2, "findings": [{"message": "no such plugin"}],
        }]});
        let told = hindered(&answer);
        assert_eq!(
            told,
            ["edge (3.4.0) couldn't take it as it is: no such plugin (and 1 more)"]
        );
        assert!(hindered(&json!({})).is_empty());
    }
}
