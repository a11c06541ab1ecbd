//! How near the log is to its limit: said before anything is refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use domain::health::{Condition, Health, Severity};

/// The condition's name.
const NAME: &str = "size of the log";

/// How often the file is looked at.
const ROUND: Duration = Duration::from_secs(10);

/// Says how near a log of so many bytes is to its limit, if it is near.
pub(crate) fn report(bytes: u64, limit: u64, health: &dyn Health) {
    let hundredths = u128::from(bytes) * 100 / u128::from(limit.max(1));
    let severity = match hundredths {
        // From 80 on somebody should know, from 95 on it presses.
        0..80 => return health.clear(NAME),
        80..95 => Severity::Notice,
        _ => Severity::Degraded,
    };
    health.raise(Condition {
        name: NAME,
        severity,
        reason: format!(
            "the log has {} MiB, {hundredths} % of its limit, beyond which changes are refused: raise --log-limit, and see that there is room",
            bytes >> 20
        ),
    });
}

/// Looks at the log's file again and again, for ever.
pub async fn watch(file: PathBuf, limit: u64, health: Arc<dyn Health>) {
    loop {
        if let Ok(found) = tokio::fs::metadata(&file).await {
            report(found.len(), limit, &*health);
        }
        tokio::time::sleep(ROUND).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Option<Severity>>);

    impl Health for Heard {
        fn raise(&self, condition: Condition) {
            *self.0.lock().unwrap() = Some(condition.severity);
        }

        fn clear(&self, _name: &'static str) {
            *self.0.lock().unwrap() = None;
        }
    }

    #[test]
    fn a_log_near_its_limit_is_said_to_be_so_before_it_refuses() {
        let heard = Heard::default();
        let at = |bytes| {
            report(bytes, 1_000, &heard);
            *heard.0.lock().unwrap()
        };
        assert_eq!(at(799), None);
        assert_eq!(at(800), Some(Severity::Notice));
        assert_eq!(at(950), Some(Severity::Degraded));
        assert_eq!(at(10), None);
    }
}
