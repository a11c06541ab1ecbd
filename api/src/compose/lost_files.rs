//! Looking whether the files in use still stand under their names: who removes one shall hear of it at once, and not at the
//! next start.

use std::sync::Arc;
use std::time::Duration;

use commands::opened_file::OpenedFile;
use domain::health::{Condition, Health, Severity};

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at the files, each with the name of its condition, again and again.
pub async fn watch(files: Vec<(&'static str, OpenedFile)>, health: Arc<dyn Health>) {
    if files.is_empty() {
        return;
    }
    let mut rounds = tokio::time::interval(EVERY);
    loop {
        rounds.tick().await;
        for (name, file) in &files {
            match file.check() {
                Ok(()) => health.clear(name),
                Err(lost) => health.raise(Condition {
                    name,
                    severity: Severity::Down,
                    reason: lost.to_string(),
                }),
            }
        }
    }
}
