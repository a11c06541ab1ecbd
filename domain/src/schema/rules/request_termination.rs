//! The request-termination plugin.

use serde_json::Value;

/// The answer is a message, or a body with its type, or the request itself.
pub(super) fn one_answer(config: &Value) -> Result<(), String> {
    let text = |field: &str| {
        config
            .get(field)
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    let echo = config.get("echo") == Some(&Value::Bool(true));
    let (message, content_type, body) = (text("message"), text("content_type"), text("body"));
    let reason = if message && (content_type || body) {
        "message cannot be used with content_type or body"
    } else if content_type && !body {
        "content_type requires a body"
    } else if echo && body {
        "echo cannot be used with content_type and body"
    } else {
        return Ok(());
    };
    Err(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_said_in_one_way() {
        for good in [
            json!({}),
            json!({"message": "m"}),
            json!({"body": "b", "content_type": "t", "message": ""}),
            json!({"echo": true}),
        ] {
            assert_eq!(one_answer(&good), Ok(()), "{good}");
        }
        for (bad, reason) in [
            (json!({"message": "m", "body": "b"}), "message cannot"),
            (json!({"content_type": "t"}), "content_type requires"),
            (json!({"echo": true, "body": "b"}), "echo cannot"),
        ] {
            assert!(one_answer(&bad).unwrap_err().starts_with(reason), "{bad}");
        }
    }
}
