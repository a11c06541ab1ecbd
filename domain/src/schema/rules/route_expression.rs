//! What Kong's default router flavor demands of a route beyond its fields (README §6.3): it turns the route into an
//! expression for `atc-router`, which refuses regular expressions that Rust's `regex` does, and empty header lists.

use serde_json::{Map, Value};

/// Refuses what would make the route's expression invalid.
pub(super) fn validates(route: &Map<String, Value>) -> Result<(), String> {
    let paths = route.get("paths").and_then(Value::as_array);
    for expression in paths
        .into_iter()
        .flatten()
        .filter_map(|path| path.as_str()?.strip_prefix('~'))
    {
        compiles(&format!("^{}", expression.replace("?<", "?P<")))?;
    }
    let headers = route.get("headers").and_then(Value::as_object);
    for (name, values) in headers.into_iter().flatten() {
        let values = values.as_array().map_or(&[][..], Vec::as_slice);
        if values.is_empty() {
            return Err(failed(&format!("header '{name}' has no values")));
        }
        for expression in values
            .iter()
            .filter_map(|value| value.as_str()?.strip_prefix("~*"))
        {
            compiles(expression)?;
        }
    }
    Ok(())
}

fn compiles(expression: &str) -> Result<(), String> {
    regex::Regex::new(expression)
        .map(drop)
        .map_err(|error| failed(&error.to_string()))
}

fn failed(reason: &str) -> String {
    format!("Router Expression failed validation: {reason}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(route: &Value) -> Result<(), String> {
        validates(route.as_object().unwrap())
    }

    #[test]
    fn what_rusts_regex_compiles_is_accepted() {
        let route = json!({"paths": ["/a", "~/(?<id>\\d+)$"], "headers": {"x": ["1", "~*^a+$"]}});
        assert_eq!(check(&route), Ok(()));
        assert_eq!(check(&json!({"paths": null, "headers": null})), Ok(()));
    }

    #[test]
    fn look_around_bad_header_expressions_and_empty_header_lists_are_refused() {
        for route in [
            json!({"paths": ["~/a(?=b)"]}),
            json!({"headers": {"x": ["~*("]}}),
            json!({"headers": {"x": []}}),
        ] {
            assert!(
                check(&route)
                    .unwrap_err()
                    .starts_with("Router Expression failed validation: "),
                "{route}"
            );
        }
    }
}
