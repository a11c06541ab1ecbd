//! The aws-lambda plugin.

use serde_json::{Map, Value};

/// A proxy is spoken to over plain HTTP.
pub(super) fn proxy_scheme(plugin: &Map<String, Value>) -> Result<(), String> {
    let url = plugin.get("config").and_then(|config| config.get("proxy_url"));
    let scheme = url.and_then(Value::as_str).and_then(|url| url.split_once("://"));
    match scheme {
        Some((scheme, _)) if scheme != "http" && !scheme.is_empty() && !scheme.contains(':') => {
            Err("proxy_url scheme must be http".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_proxy_is_plain_http() {
        let plugin = |url: Value| {
            json!({"config": {"proxy_url": url}})
                .as_object()
                .cloned()
                .unwrap()
        };
        for good in [json!(null), json!("http://p:3128"), json!("p:3128")] {
            assert_eq!(proxy_scheme(&plugin(good.clone())), Ok(()), "{good}");
        }
        assert!(proxy_scheme(&plugin(json!("https://p"))).is_err());
    }
}
