//! Settings of language models, which the ai plugins share.

use serde_json::{Map, Value};

/// Anthropic's completions say nothing about tokens.
pub(super) fn statistics_are_supported(settings: &Map<String, Value>) -> Result<(), String> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let logged = settings
        .get("logging")
        .and_then(|logging| logging.get("log_statistics"));
    let provider = text(settings.get("model").and_then(|model| model.get("provider")));
    let route_type = text(settings.get("route_type"));
    match (provider.as_deref(), route_type.as_deref()) {
        (Some(provider @ "anthropic"), Some(route_type @ "llm/v1/completions"))
            if logged == Some(&Value::Bool(true)) =>
        {
            Err(format!(
                "{provider} does not support statistics when route_type is {route_type}"
            ))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statistics_need_a_provider_that_counts() {
        let settings = |provider: &str, logged: bool| {
            let settings = json!({
                "route_type": "llm/v1/completions",
                "model": {"provider": provider},
                "logging": {"log_statistics": logged},
            });
            settings.as_object().cloned().unwrap()
        };
        assert_eq!(statistics_are_supported(&settings("openai", true)), Ok(()));
        assert_eq!(statistics_are_supported(&settings("anthropic", false)), Ok(()));
        assert!(statistics_are_supported(&settings("anthropic", true)).is_err());
    }
}
