//! Values among which another one is looked for, without comparing it with each.

use std::collections::HashSet;

use serde_json::Value;

/// Values in the order in which they were given.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    listed: Vec<Value>,
    known: HashSet<Value>,
}

impl Choices {
    pub(super) fn new(listed: Vec<Value>) -> Self {
        let known = listed.iter().map(as_in_lua).collect();
        Self { listed, known }
    }

    /// Whether the value is one of them.
    pub(super) fn contains(&self, value: &Value) -> bool {
        self.known.contains(&as_in_lua(value))
    }

    /// As they were given.
    pub(super) fn listed(&self) -> &[Value] {
        &self.listed
    }
}

/// In Lua 1 and 1.0 are the same number.
fn as_in_lua(value: &Value) -> Value {
    match value.as_f64() {
        Some(number) => Value::from(number + 0.0),
        None => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_by_what_they_are() {
        let choices = Choices::new(vec![json!(1), json!(2.5), json!("a"), json!(-0.0)]);
        for value in [json!(1.0), json!(1), json!(2.5), json!("a"), json!(0)] {
            assert!(choices.contains(&value), "{value}");
        }
        for value in [json!(2), json!("1"), json!(null)] {
            assert!(!choices.contains(&value), "{value}");
        }
    }
}
