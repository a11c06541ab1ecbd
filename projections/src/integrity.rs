//! Looking after the views' file in SQLite: checkpoints are made in time, page after page is compared with its digest,
//! and what isn't what was written is never read again: the process says so and ends, and the next start sets the file aside and
//! makes the views again. PostgreSQL looks after its own.

use std::sync::Arc;
use std::time::Duration;

use domain::health::{Condition, Severity};

use crate::database::{Database, Sqlite};
use crate::error::ProjectionError;
use crate::location::Location;
use crate::shared::Shared;

/// How often it is looked after.
const EVERY: Duration = Duration::from_secs(1);

/// The condition that tells of damaged views.
const CONDITION: &str = "views file";

/// Looks after the file until it is found damaged.
pub(crate) async fn look_after(shared: Arc<Shared>) {
    let Some(sqlite) = shared.database.sqlite() else {
        return;
    };
    tell_of_files_set_aside(&shared, sqlite);
    let mut rounds = tokio::time::interval(EVERY);
    loop {
        rounds.tick().await;
        match sqlite.look_after().await {
            Ok(None) => {}
            Ok(Some(damage)) => {
                let error = ProjectionError::Damaged(damage);
                shared.health.raise(Condition {
                    name: CONDITION,
                    severity: Severity::Down,
                    reason: error.to_string(),
                });
                shared.progress.distrust(&error);
                return;
            }
            Err(error) => tracing::warn!(%error, "the views' file can't be looked after; it is tried again"),
        }
    }
}

/// Tells of what was set aside at this start, and of what still lies there from earlier ones.
fn tell_of_files_set_aside(shared: &Shared, sqlite: &Sqlite) {
    let reason = match sqlite.set_aside() {
        Some(set_aside) => format!(
            "views.db was damaged ({}): it is kept as {} and the views are made again from the log; look after the disk, and \
             remove that file when you don't need it any more",
            set_aside.damage,
            set_aside.path.display()
        ),
        None => {
            let kept = sqlite.kept().unwrap_or_default();
            let Some(last) = kept.last() else { return };
            format!(
                "views.db was damaged once: {} is what was set aside then; remove it when you don't need it any more",
                last.display()
            )
        }
    };
    shared.health.raise(Condition {
        name: CONDITION,
        severity: Severity::Notice,
        reason,
    });
}

/// What is wrong with views that no process has opened, if they aren't what was written. Changes nothing.
pub async fn inspect(location: &Location) -> Result<Option<String>, ProjectionError> {
    Ok(Database::inspect(location).await?)
}
