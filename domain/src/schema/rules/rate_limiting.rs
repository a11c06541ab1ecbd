//! The rate-limiting plugin.

use serde_json::Value;

const PERIODS: [&str; 6] = ["second", "minute", "hour", "day", "month", "year"];
/// The shortest interval at which counters are synchronised, in seconds.
const SHORTEST_SYNC: f64 = 0.02;
/// The `sync_rate` that synchronises at once.
const SYNCHRONOUS: f64 = -1.0;

/// A longer period's limit isn't below a shorter one's; `sync_rate` needs Redis.
pub(super) fn periods_and_sync_rate(config: &Value) -> Result<(), String> {
    periods(config).map_err(|contradiction| format!("The {contradiction}"))?;
    let sync_rate = config
        .get("sync_rate")
        .and_then(Value::as_f64)
        .unwrap_or(SYNCHRONOUS);
    let redis = config.get("policy").and_then(Value::as_str) == Some("redis");
    match redis {
        _ if sync_rate == SYNCHRONOUS => Ok(()),
        false => Err("sync_rate can only be used with the redis policy".to_owned()),
        true if sync_rate < SHORTEST_SYNC => {
            Err("sync_rate must be greater than 0.02, or -1 to disable".to_owned())
        }
        true => Ok(()),
    }
}

/// A longer period's limit isn't below a shorter one's; what contradicts it reads on after "The".
pub(super) fn periods(limits: &Value) -> Result<(), String> {
    let limits: Vec<(&str, f64)> = PERIODS
        .iter()
        .filter_map(|period| Some((*period, limits.get(period)?.as_f64()?)))
        .collect();
    for (index, (shorter, few)) in limits.iter().enumerate() {
        if let Some((longer, many)) = limits[index + 1..].iter().find(|(_, many)| many < few) {
            return Err(format!(
                "limit for {longer}({:.1}) cannot be lower than the limit for {shorter}({:.1})",
                rounded(*many),
                rounded(*few)
            ));
        }
    }
    Ok(())
}

/// LuaJIT prints 5.25 as 5.3; Rust would round the tie to even.
fn rounded(limit: f64) -> f64 {
    (limit * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_longer_period_allows_at_least_as_much_as_a_shorter_one() {
        assert_eq!(
            periods_and_sync_rate(&json!({"second": 5, "minute": null, "hour": 5})),
            Ok(())
        );
        assert_eq!(
            periods_and_sync_rate(&json!({"minute": 5.5, "hour": 5.25})),
            Err("The limit for hour(5.3) cannot be lower than the limit for minute(5.5)".to_owned())
        );
    }

    #[test]
    fn counters_synchronise_in_the_background_only_with_redis_and_not_too_often() {
        let config = |policy: &str, rate: f64| json!({"policy": policy, "sync_rate": rate});
        assert_eq!(periods_and_sync_rate(&config("local", -1.0)), Ok(()));
        assert_eq!(periods_and_sync_rate(&config("redis", 0.02)), Ok(()));
        assert!(periods_and_sync_rate(&config("redis", 0.01)).is_err());
        assert!(periods_and_sync_rate(&config("local", 1.0)).is_err());
    }
}
