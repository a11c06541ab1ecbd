//! The http-log plugin.

use serde_json::Value;

use super::url;

/// User info in the URL and an `Authorization` header would contradict each other.
pub(super) fn no_double_authorization(config: &Value) -> Result<(), String> {
    let endpoint = config
        .get("http_endpoint")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let headers = config.get("headers").and_then(Value::as_object);
    let authorization = |headers: &serde_json::Map<String, Value>| {
        headers
            .keys()
            .any(|name| name.eq_ignore_ascii_case("authorization"))
    };
    if url::parse(endpoint).user_info.is_some() && headers.is_some_and(authorization) {
        return Err(
            "specifying both an 'Authorization' header and user info in 'http_endpoint' is not allowed"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn credentials_are_given_once() {
        let config =
            |endpoint: &str, header: &str| json!({"http_endpoint": endpoint, "headers": {header: "x"}});
        assert!(no_double_authorization(&config("http://u:p@h", "AUTHORIZATION")).is_err());
        assert_eq!(
            no_double_authorization(&config("http://h", "Authorization")),
            Ok(())
        );
        assert_eq!(no_double_authorization(&config("http://u:p@h", "X-A")), Ok(()));
    }
}
