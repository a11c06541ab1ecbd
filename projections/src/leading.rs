//! Leading: of the processes that share the views, the one that leads projects and runs the reactors. On SQLite that is
//! this one, always.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::database::Postgres;
use crate::error::ProjectionError;
use crate::lease;
use crate::other_versions;
use crate::projector::project;
use crate::shared::Shared;

/// Which of the processes that share the views projects them, as one of them knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Whether it is this process.
    pub here: bool,
    /// What the process calls itself; of another one up to 2 s old. `None` while nobody does.
    pub holder: Option<String>,
}

impl Leadership {
    pub(crate) fn of(shared: &Shared) -> Self {
        let here = *shared.leading.borrow();
        let holder = if here {
            Some(shared.holder.clone())
        } else {
            shared.heard_holder.borrow().clone()
        };
        Self { here, holder }
    }
}

/// Projects whenever this process leads, until it ends or projecting has stopped for good.
pub(crate) async fn lead(shared: Arc<Shared>, mut shutdown: BoxFuture<'static, ()>) {
    match shared.database.postgres() {
        None => {
            shared.leading.send_replace(true);
            tokio::select! {
                () = &mut shutdown => {}
                error = project(&shared, 0) => shared.progress.troubled(&error),
            }
        }
        Some(postgres) => lead_by_lease(&shared, postgres, shutdown).await,
    }
}

async fn lead_by_lease(shared: &Arc<Shared>, postgres: &Postgres, mut shutdown: BoxFuture<'static, ()>) {
    loop {
        let tenure = tokio::select! {
            () = &mut shutdown => return,
            () = shared.progress.stopped() => return,
            tenure = lease::acquire(shared, postgres) => tenure,
        };
        let epoch = tenure.epoch;
        tracing::info!(epoch, "this process projects the views now");
        shared.leading.send_replace(true);
        let again = tokio::select! {
            () = &mut shutdown => false,
            // Perhaps another process, with a newer program, can go on.
            () = shared.progress.stopped() => false,
            () = tenure.keep() => true,
            () = other_versions::look_after(postgres) => true,
            error = project(shared, epoch) => {
                let superseded = error == ProjectionError::Superseded;
                if !superseded {
                    shared.progress.troubled(&error);
                }
                superseded
            }
        };
        shared.leading.send_replace(false);
        if !again {
            tenure.release().await;
            return;
        }
        tracing::warn!(
            epoch,
            "the projector's lease was lost; another process projects the views"
        );
    }
}
