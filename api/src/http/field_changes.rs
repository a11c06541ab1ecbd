//! The fields in which two bodies differ, each by its path with what it was and what it is. Objects are compared field
//! by field, lists whole. A secret that isn't shown is named as changed all the same.

use serde::Serialize;
use serde_json::{Map, Value};

use super::presentation::REDACTED;

/// A field that isn't what it was.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct FieldChange {
    /// Names from the top of the body, with dots between: `config.redis.host`.
    path: String,
    before: Value,
    after: Value,
}

/// Where two bodies differ.
#[derive(Debug, Default)]
pub(crate) struct ChangedPaths(Vec<Vec<String>>);

impl ChangedPaths {
    /// The paths of what differs below these fields.
    pub(crate) fn below(fields: &[String], before: &Map<String, Value>, after: &Map<String, Value>) -> Self {
        let mut found = Self::default();
        for field in fields {
            found.compare(vec![field.clone()], before.get(field), after.get(field));
        }
        found
    }

    fn compare(&mut self, path: Vec<String>, before: Option<&Value>, after: Option<&Value>) {
        let (Some(Value::Object(before)), Some(Value::Object(after))) = (before, after) else {
            if before.unwrap_or(&Value::Null) != after.unwrap_or(&Value::Null) {
                self.0.push(path);
            }
            return;
        };
        let came = after.keys().filter(|name| !before.contains_key(*name));
        for name in before.keys().chain(came) {
            let path = [path.as_slice(), std::slice::from_ref(name)].concat();
            self.compare(path, before.get(name), after.get(name));
        }
    }

    /// Each with the values that bodies have there which a reader may see.
    pub(crate) fn shown(&self, before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<FieldChange> {
        let mut shown: Vec<FieldChange> = Vec::with_capacity(self.0.len());
        for path in &self.0 {
            let ((was, depth), (is, other)) = (seen(before, path), seen(after, path));
            let path = path[..depth.min(other)].join(".");
            // What is blotted out whole changed once, however many fields it has.
            if shown.last().is_none_or(|last| last.path != path) {
                shown.push(FieldChange {
                    path,
                    before: was.clone(),
                    after: is.clone(),
                });
            }
        }
        shown
    }
}

/// The value at a path, or what is blotted out above it; and how many names lead there.
fn seen<'body>(body: &'body Map<String, Value>, path: &[String]) -> (&'body Value, usize) {
    let mut value = body.get(&path[0]).unwrap_or(&Value::Null);
    for (depth, name) in path.iter().enumerate().skip(1) {
        if value == REDACTED {
            return (value, depth);
        }
        value = value.get(name).unwrap_or(&Value::Null);
    }
    (value, path.len())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(body: &Value) -> &Map<String, Value> {
        body.as_object().unwrap()
    }

    fn shown(before: &Value, after: &Value, fields: &[&str]) -> Value {
        let fields: Vec<_> = fields.iter().map(|field| (*field).to_owned()).collect();
        let paths = ChangedPaths::below(&fields, map(before), map(after));
        json!(paths.shown(map(before), map(after)))
    }

    #[test]
    fn objects_are_compared_field_by_field_and_lists_whole() {
        let before = json!({"config": {"minute": 5, "redis": {"host": "a", "port": 1}}, "paths": ["/a"]});
        let after =
            json!({"config": {"minute": 5, "redis": {"host": "b", "port": 1}}, "paths": ["/a", "/b"]});
        let expected = json!([
            {"path": "config.redis.host", "before": "a", "after": "b"},
            {"path": "paths", "before": ["/a"], "after": ["/a", "/b"]},
        ]);
        assert_eq!(shown(&before, &after, &["config", "paths"]), expected);
    }

    #[test]
    fn a_field_that_one_side_lacks_is_null_there() {
        let (before, after) = (json!({"headers": {"x": ["1"]}}), json!({"headers": {"y": ["2"]}}));
        let expected = json!([
            {"path": "headers.x", "before": ["1"], "after": null},
            {"path": "headers.y", "before": null, "after": ["2"]},
        ]);
        assert_eq!(shown(&before, &after, &["headers"]), expected);
    }

    #[test]
    fn what_is_blotted_out_is_named_once() {
        let (before, after) = (
            json!({"config": {"a": 1, "b": 1}}),
            json!({"config": {"a": 2, "b": 2}}),
        );
        let paths = ChangedPaths::below(&["config".to_owned()], map(&before), map(&after));
        let blotted = json!({"config": REDACTED});
        let expected = json!([{"path": "config", "before": REDACTED, "after": REDACTED}]);
        assert_eq!(json!(paths.shown(map(&blotted), map(&blotted))), expected);
    }
}
