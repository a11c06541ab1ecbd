//! The response-ratelimiting plugin.

use serde_json::Value;

use super::rate_limiting;

/// A longer period's limit isn't below a shorter one's.
pub(super) fn periods(limits: &Value) -> Result<(), String> {
    rate_limiting::periods(limits).map_err(|contradiction| format!("the {contradiction}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_longer_period_allows_at_least_as_much() {
        assert_eq!(periods(&json!({"second": 1, "minute": 1, "hour": null})), Ok(()));
        assert_eq!(
            periods(&json!({"second": 2, "minute": 1})),
            Err("the limit for minute(1.0) cannot be lower than the limit for second(2.0)".to_owned())
        );
    }
}
