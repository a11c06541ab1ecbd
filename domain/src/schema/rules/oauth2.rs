//! The oauth2 plugin and its credentials.

use serde_json::Value;

use super::url;

const FLOWS: [&str; 4] = [
    "enable_authorization_code",
    "enable_implicit_grant",
    "enable_client_credentials",
    "enable_password_grant",
];

/// Without a flow nobody could ever get a token.
pub(super) fn at_least_one_flow(config: &Value) -> Result<(), String> {
    if FLOWS
        .iter()
        .any(|flow| config.get(flow) == Some(&Value::Bool(true)))
    {
        return Ok(());
    }
    Err(format!(
        "at least one of these fields must be true: {}",
        FLOWS.join(", ")
    ))
}

/// An absolute URL without a fragment.
pub(super) fn redirect_uri(text: &str) -> Result<(), String> {
    if url::absolute(text).is_err() {
        return Err(format!("cannot parse '{text}'"));
    }
    if text.contains('#') {
        return Err(format!("fragment not allowed in '{text}'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_flow_is_enabled() {
        assert_eq!(at_least_one_flow(&json!({"enable_password_grant": true})), Ok(()));
        let none = at_least_one_flow(&json!({"enable_password_grant": false})).unwrap_err();
        assert!(none.starts_with("at least one of these fields must be true: enable_authorization_code, "));
    }

    #[test]
    fn a_client_is_sent_back_to_an_absolute_url() {
        assert_eq!(redirect_uri("http://a/b"), Ok(()));
        assert_eq!(redirect_uri("a"), Err("cannot parse 'a'".to_owned()));
        assert_eq!(
            redirect_uri("http://a#f"),
            Err("fragment not allowed in 'http://a#f'".to_owned())
        );
    }
}
