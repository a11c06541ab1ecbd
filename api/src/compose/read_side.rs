//! The views over an opened log.

use std::path::Path;
use std::sync::Arc;

use commands::tasks::Tasks;
use domain::Clock;
use projections::{Options, ProjectionError, Projections};

use super::storage::{Storage, VIEWS_FILE};

/// Opens, or makes, the views in the data directory and begins to follow the log.
pub async fn open(
    data_dir: &Path,
    storage: &Storage,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<Projections, ProjectionError> {
    Projections::open(Options {
        database: data_dir.join(VIEWS_FILE).display().to_string(),
        log: Arc::clone(&storage.log),
        keyring: Arc::clone(&storage.keyring),
        clock,
        spawner: Arc::new(tasks.clone()),
    })
    .await
}
