//! The views over an opened log.

use std::sync::Arc;

use commands::bus::CommandBus;
use commands::tasks::Tasks;
use domain::Clock;
use domain::health::Health;
use projections::{Location, Options, ProjectionError, Projections};
use tokio_util::sync::CancellationToken;

use super::storage::{Storage, VIEWS_FILE};
use crate::config::{DatabaseEngine, StorageSettings};

/// Opens, or makes, the views where the settings say and begins to follow the log.
pub async fn open(
    settings: &StorageSettings,
    storage: &Storage,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
    health: Arc<dyn Health>,
) -> Result<Projections, ProjectionError> {
    Projections::open(Options {
        database: location(settings),
        holder: holder(),
        log: Arc::clone(&storage.log),
        keyring: Arc::clone(&storage.keyring),
        clock,
        spawner: Arc::new(tasks.clone()),
        health,
    })
    .await
}

/// Where the views are.
pub fn location(settings: &StorageSettings) -> Location {
    match &settings.database {
        DatabaseEngine::Sqlite => Location::Sqlite(settings.data_dir.join(VIEWS_FILE).display().to_string()),
        DatabaseEngine::Postgres(url) => Location::Postgres(url.clone()),
    }
}

/// Ends the process in order when the views can't be trusted any more: the next start makes them again.
pub async fn end_when_distrusted(projections: Projections, tasks: Tasks) {
    let end = tasks.token().clone();
    if end.run_until_cancelled(projections.distrusted()).await.is_some() {
        tasks.fail();
    }
}

/// What this process is called where others that share the views see it.
fn holder() -> String {
    let machine = rustix::system::uname();
    let machine = machine.nodename().to_string_lossy();
    format!("process {} on {machine}", std::process::id())
}

/// Runs the reactors while this process leads those that share the views, until `end`.
pub async fn react_while_leading(bus: CommandBus, projections: Projections, end: CancellationToken) {
    let mut leading = projections.leading();
    let mut until = projections.leading();
    let react = async {
        while leading.wait_for(|leads| *leads).await.is_ok() {
            tokio::select! {
                () = bus.run_reactors() => return,
                _ = until.wait_for(|leads| !leads) => {}
            }
        }
    };
    end.run_until_cancelled(react).await;
}
