//! How far the views have come: what reads wait for, and what operators look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::Position;
use tokio::sync::watch;

use crate::error::{NotCaughtUp, ProjectionError};

/// How long a read waits for the views (DESIGN §6).
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the views stand, for readiness, `doctor` and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The last record that the views hold.
    pub position: Position,
    /// How many records of the log, as far as it was seen, they don't hold yet.
    pub lag: u64,
    /// The log's last record when the process started, or when the views were begun anew: nothing is answered before they
    /// hold it.
    pub start: Position,
    /// Why projecting stands still, if it does; reads go on, readiness is lost.
    pub halted: Option<String>,
}

#[derive(Clone, Debug)]
struct Standing {
    position: Position,
    /// The trouble, and whether it is for good.
    trouble: Option<(Arc<str>, bool)>,
    /// Whether what is there can't be trusted.
    distrusted: bool,
}

impl Standing {
    fn stands_for_good(&self) -> bool {
        self.trouble.as_ref().is_some_and(|(_, for_good)| *for_good)
    }

    /// Says whether there was something.
    fn forget_what_passes(&mut self) -> bool {
        let passes = self.trouble.is_some() && !self.stands_for_good();
        if passes {
            self.trouble = None;
        }
        passes
    }
}

/// Shared between those who project and those who wait for it.
pub(crate) struct Progress {
    standing: watch::Sender<Standing>,
    seen: AtomicU64,
    start: AtomicU64,
}

impl Progress {
    /// Starts at a checkpoint of a log that ends at `tail`.
    pub(crate) fn new(position: Position, tail: Position) -> Self {
        Self {
            standing: watch::Sender::new(Standing {
                position,
                trouble: None,
                distrusted: false,
            }),
            seen: AtomicU64::new(tail.0),
            start: AtomicU64::new(tail.0),
        }
    }

    /// The last record that the views hold.
    pub(crate) fn position(&self) -> Position {
        self.standing.borrow().position
    }

    /// Notes that the log has this record.
    pub(crate) fn saw(&self, position: Position) {
        self.seen.fetch_max(position.0, Ordering::Relaxed);
    }

    /// The last record that the log was seen to have.
    pub(crate) fn seen(&self) -> Position {
        Position(self.seen.load(Ordering::Relaxed))
    }

    /// Notes that the views hold everything up to here; who hears it late has heard of more already.
    pub(crate) fn projected(&self, position: Position) {
        self.standing.send_modify(|standing| {
            standing.position = standing.position.max(position);
            standing.forget_what_passes();
        });
    }

    /// Notes that other rows are read from now on, which may hold less.
    pub(crate) fn replaced(&self, position: Position) {
        self.standing.send_modify(|standing| {
            standing.position = position;
            standing.forget_what_passes();
        });
    }

    /// Notes that nothing stands in the way any more.
    pub(crate) fn recovered(&self) {
        self.standing.send_if_modified(Standing::forget_what_passes);
    }

    /// Waits for trouble that doesn't pass.
    pub(crate) async fn stopped(&self) {
        let mut standing = self.standing.subscribe();
        // The sender lives as long as this.
        drop(standing.wait_for(Standing::stands_for_good).await);
    }

    /// Notes why projecting stands still; an error that passes is tried again.
    pub(crate) fn troubled(&self, error: &ProjectionError) {
        let for_good = !error.passes();
        let reason: Arc<str> = error.to_string().into();
        if self.standing.borrow().trouble == Some((Arc::clone(&reason), for_good)) {
            return;
        }
        if for_good {
            tracing::error!(%error, "projecting has stopped; queries are answered from what was projected before");
        } else {
            tracing::warn!(%error, "projecting stands still and is tried again");
        }
        self.standing.send_modify(|standing| {
            if !standing.stands_for_good() {
                standing.trouble = Some((reason, for_good));
            }
        });
    }

    /// Where the views stand.
    pub(crate) fn status(&self) -> Status {
        let standing = self.standing.borrow();
        let seen = self.seen().0;
        Status {
            position: standing.position,
            lag: seen.saturating_sub(standing.position.0),
            start: self.start(),
            halted: standing.trouble.as_ref().map(|(reason, _)| reason.to_string()),
        }
    }

    /// Waits until the views hold more than a position, or other rows are read that hold less.
    pub(crate) async fn moved_past(&self, position: Position) {
        let mut standing = self.standing.subscribe();
        // The sender lives as long as this.
        drop(standing.wait_for(|standing| standing.position != position).await);
    }

    fn start(&self) -> Position {
        Position(self.start.load(Ordering::Acquire))
    }

    /// Waits until the views hold what the log had at the start. Never so if they can't be trusted.
    pub(crate) async fn reached_start(&self) -> Result<(), NotCaughtUp> {
        let start = self.start();
        let distrusted = {
            let standing = self.standing.borrow();
            if standing.position >= start && !standing.distrusted {
                return Ok(());
            }
            standing.distrusted.then(|| standing.trouble.clone()).flatten()
        };
        match distrusted {
            Some((reason, _)) => Err(NotCaughtUp {
                reason: reason.to_string(),
            }),
            None => self.reached(start).await,
        }
    }

    /// Notes that what is there can't be trusted: nothing is answered from it any more.
    pub(crate) fn distrust(&self, error: &ProjectionError) {
        self.standing.send_modify(|standing| {
            standing.trouble = Some((error.to_string().into(), true));
            standing.distrusted = true;
        });
    }

    /// Waits until what is there can't be trusted.
    pub(crate) async fn distrusted(&self) {
        let mut standing = self.standing.subscribe();
        // The sender lives as long as this.
        drop(standing.wait_for(|standing| standing.distrusted).await);
    }

    /// Waits, however long, until the views hold what the log had at the start. `progress` hears the position reached and the
    /// one aimed at.
    pub(crate) async fn catch_up(
        &self,
        progress: impl Fn(Position, Position),
    ) -> Result<(), ProjectionError> {
        let start = self.start();
        let mut standing = self.standing.subscribe();
        loop {
            let (position, trouble) = {
                let standing = standing.borrow_and_update();
                let for_good = standing.stands_for_good();
                (standing.position, standing.trouble.clone().filter(|_| for_good))
            };
            progress(position, start);
            if position >= start {
                return Ok(());
            }
            if let Some((reason, _)) = trouble {
                return Err(ProjectionError::Standstill(reason.to_string()));
            }
            // The sender lives as long as this.
            drop(standing.changed().await);
        }
    }

    /// Waits until the views hold a position.
    pub(crate) async fn reached(&self, position: Position) -> Result<(), NotCaughtUp> {
        let mut standing = self.standing.subscribe();
        let arrived =
            standing.wait_for(|standing| standing.position >= position || standing.stands_for_good());
        let in_time = tokio::time::timeout(PATIENCE, arrived).await.is_ok();
        let standing = self.standing.borrow();
        if standing.position >= position {
            return Ok(());
        }
        let reason = match &standing.trouble {
            Some((reason, _)) => format!("the read models stand still: {reason}"),
            None if in_time => "the process is shutting down".to_owned(),
            None => format!(
                "the read models are at position {} of {position} and didn't catch up within {} s; try again",
                standing.position,
                PATIENCE.as_secs()
            ),
        };
        Err(NotCaughtUp { reason })
    }
}
