//! What writers measure. Names begin with `runtime_manager_`; boundaries are never labels, there are too many.

use std::time::Duration;

use metrics::{counter, histogram};

/// A command was answered; `result` is `changed`, `unchanged`, `replayed`, `refused` or `failed`.
pub(crate) fn answered(aggregate: &'static str, result: &'static str) {
    counter!("runtime_manager_commands_total", "aggregate" => aggregate, "result" => result).increment(1);
}

/// A commit became durable.
pub(crate) fn committed(aggregate: &'static str, changes: usize, bytes: usize, took: Duration) {
    histogram!("runtime_manager_commit_changes", "aggregate" => aggregate).record(changes as f64);
    histogram!("runtime_manager_commit_bytes", "aggregate" => aggregate).record(bytes as f64);
    histogram!("runtime_manager_append_seconds", "aggregate" => aggregate).record(took.as_secs_f64());
}

/// Another writer was first.
pub(crate) fn conflict() {
    counter!("runtime_manager_append_conflicts_total").increment(1);
}

/// The log gave no definite answer.
pub(crate) fn unknown() {
    counter!("runtime_manager_append_unknown_total").increment(1);
}
