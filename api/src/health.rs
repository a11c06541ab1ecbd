//! What isn't well with the process: the one place that `/readyz`, `doctor` and `/metrics` read. A condition that comes, gets
//! worse or ends is a line in the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::health::{Condition, Health, Severity};
use tracing::{error, info, warn};

/// The conditions that hold.
#[derive(Debug, Default)]
pub struct Conditions {
    holding: Mutex<BTreeMap<&'static str, Condition>>,
}

impl Conditions {
    /// Every condition that holds, by name.
    pub fn all(&self) -> Vec<Condition> {
        self.holding().values().cloned().collect()
    }

    fn holding(&self) -> MutexGuard<'_, BTreeMap<&'static str, Condition>> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health for Conditions {
    fn raise(&self, condition: Condition) {
        let (name, severity) = (condition.name, condition.severity);
        let reason = condition.reason.clone();
        let before = self.holding().insert(name, condition);
        if before.as_ref().map(|before| before.severity) == Some(severity) {
            return;
        }
        if let Some(before) = before {
            measure(name, before.severity, 0.0);
        }
        measure(name, severity, 1.0);
        match severity {
            Severity::Notice => warn!(condition = name, "{reason}"),
            Severity::Degraded | Severity::Down => {
                error!(condition = name, severity = severity.name(), "{reason}");
            }
        }
    }

    fn clear(&self, name: &'static str) {
        let over = self.holding().remove(name);
        if let Some(over) = over {
            measure(name, over.severity, 0.0);
            info!(condition = name, "well again");
        }
    }
}

fn measure(name: &'static str, severity: Severity, holds: f64) {
    metrics::gauge!("runtime_manager_condition", "name" => name, "severity" => severity.name()).set(holds);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(name: &'static str, severity: Severity, reason: &str) -> Condition {
        Condition {
            name,
            severity,
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn the_newest_word_on_a_name_holds_until_it_is_cleared() {
        let conditions = Conditions::default();
        conditions.raise(condition("log", Severity::Degraded, "no room"));
        conditions.raise(condition("views", Severity::Notice, "made again"));
        conditions.raise(condition("log", Severity::Down, "gone"));
        let holding = [
            condition("log", Severity::Down, "gone"),
            condition("views", Severity::Notice, "made again"),
        ];
        assert_eq!(conditions.all(), holding);
        conditions.clear("log");
        conditions.clear("never raised");
        assert_eq!(conditions.all(), holding[1..]);
    }
}
