//! The session plugin: cookie settings of its first version stand for those of today (README §5.2).

use serde_json::Value;

type Fields = Vec<(&'static str, Value)>;

pub(super) fn lifetime(value: &Value) -> Fields {
    vec![("rolling_timeout", value.clone())]
}

/// Without an idle time a session never idles out.
pub(super) fn idle_time(value: &Value) -> Fields {
    let seconds = if value.is_null() {
        Value::from(0)
    } else {
        value.clone()
    };
    vec![("idling_timeout", seconds)]
}

/// Cookies are renewed by themselves now.
pub(super) const fn renewal(_: &Value) -> Fields {
    Vec::new()
}

pub(super) fn discard(value: &Value) -> Fields {
    vec![("stale_ttl", value.clone())]
}

/// Browsers take a cookie without this attribute as `Lax`.
pub(super) fn same_site(value: &Value) -> Fields {
    let site = if value == "off" {
        Value::from("Lax")
    } else {
        value.clone()
    };
    vec![("cookie_same_site", site)]
}

pub(super) fn http_only(value: &Value) -> Fields {
    vec![("cookie_http_only", value.clone())]
}

pub(super) fn persistent(value: &Value) -> Fields {
    vec![("remember", value.clone())]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_that_have_no_equal_today_get_the_nearest() {
        assert_eq!(idle_time(&json!(null)), [("idling_timeout", json!(0))]);
        assert_eq!(idle_time(&json!(5)), [("idling_timeout", json!(5))]);
        assert_eq!(same_site(&json!("off")), [("cookie_same_site", json!("Lax"))]);
        assert_eq!(same_site(&json!("None")), [("cookie_same_site", json!("None"))]);
        assert_eq!(renewal(&json!(5)), []);
    }
}
