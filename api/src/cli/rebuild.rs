//! `rebuild`: the views again, from the log.

use std::sync::Arc;

use clap::Args;

use super::ending::Ending;
use super::progress::Bar;
use super::terminal;
use crate::clock::SystemClock;
use crate::compose::installation::Installation;
use crate::compose::read_side;
use crate::config::{StorageFlags, StorageSettings};

/// Makes the views again from the log
///
/// The views are derived from the log and can be made again at any time: while no server uses the data
/// directory, or, with the log in NATS and the views in PostgreSQL, beside servers that run. Stopped anywhere, the next rebuild goes on where it was.
#[derive(Args, Debug)]
pub struct Rebuild {
    #[command(flatten)]
    storage: StorageFlags,
}

impl Rebuild {
    /// Fills new views and switches to them.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let settings = StorageSettings::from_flags(self.storage)?;
        let installation = Installation::open_beside_processes(&settings).await?;
        let projections = read_side::open(
            &settings,
            &installation.storage,
            Arc::new(SystemClock),
            installation.tasks(),
            Arc::new(()),
        )
        .await?;
        let bar = Bar::new("rebuilding");
        projections
            .rebuild(|reached, aim| bar.show(reached.0, aim.0))
            .await?;
        bar.finish();
        let position = projections.status().position;
        terminal::note(&format!("the views are made again, up to position {position}"));
        installation.close().await;
        projections.close().await?;
        Ok(Ending::Done)
    }
}
