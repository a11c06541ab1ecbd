//! Queries on what the projector wrote.
//!
//! - [`entities`]: entities of a group now and at any version; [`entity_row`]: how one is read and opened.
//! - [`intervals`]: what was valid at a version, found by its interval; [`differences`]: what two versions differ by.
//! - [`changes`]: the history; [`change_search`]: which of its changes satisfy a filter; [`bodies`]: what they did;
//!   [`entity_history`]: the changes of one entity; [`records`]: those of an organization's things.
//! - [`groups`]: the registry; [`access`]: organizations and tokens; [`tags`];
//!   [`certificates`]: which group an instance's certificate opens.
//!
//! A query sees what was projected when it ran; [`crate::Projections::caught_up`] makes that include every commit
//! that was durable before.

mod access;
mod bodies;
mod certificates;
mod change_search;
mod changes;
mod differences;
mod entities;
mod entity_history;
mod entity_row;
mod groups;
mod intervals;
mod records;
mod tags;

use std::sync::Arc;

use domain::{Timestamp, Version};

use crate::database::{Lane, Reading};
use crate::error::ViewError;
use crate::shared::Shared;
use crate::write::STILL_VALID;

pub use certificates::HeldCertificate;
pub use change_search::ChangeFilter;
pub use changes::{ChangeDetail, ChangePage, ChangeRow, EventDetail};
pub use entities::{EntityPage, EntityQuery, TagFilter};
pub use entity_history::EntityChange;
pub use groups::{GroupFilter, GroupPage, GroupRow, GroupSelector, GroupSort, Page};
pub use tags::{TagCursor, TagPage, TaggedEntity};

/// The read models. Every query answers from one generation, even while a rebuild flips to the next.
pub struct Views {
    shared: Arc<Shared>,
    lane: Lane,
}

impl Views {
    pub(crate) const fn new(shared: Arc<Shared>, lane: Lane) -> Self {
        Self { shared, lane }
    }

    /// The generation to read, once it holds what the log had when the process started: every query begins with this, so
    /// that none is answered from views that are still being made. Its rows stay for a while after another has taken its
    /// place, so that a query of several statements finds all of them.
    async fn generation(&self) -> Result<i64, ViewError> {
        self.shared.progress.reached_start().await?;
        Ok(*self.shared.generation.read().await)
    }

    fn database(&self) -> Reading<'_> {
        self.shared.database.reading(self.lane)
    }

    fn moment(&self, at: Option<Version>) -> Moment {
        match at {
            // What has expired is hidden until its deletion is recorded; the past shows what was recorded.
            None => Moment {
                version: STILL_VALID - 1,
                hide_expired_by: self.shared.clock.now(),
            },
            Some(version) => Moment {
                version: i64::try_from(version)
                    .unwrap_or(STILL_VALID - 1)
                    .min(STILL_VALID - 1),
                hide_expired_by: Timestamp(i64::MIN),
            },
        }
    }
}

/// When a query looks: rows whose validity spans `version`, without those that had expired by a time.
#[derive(Clone, Copy)]
struct Moment {
    version: i64,
    hide_expired_by: Timestamp,
}

/// A number of rows as a statement takes it.
fn limit(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) fn statements() -> Vec<String> {
    let fixed = [
        access::STATEMENTS,
        certificates::STATEMENTS,
        change_search::STATEMENTS,
        changes::STATEMENTS,
        differences::STATEMENTS,
        entities::STATEMENTS,
        entity_history::STATEMENTS,
        groups::STATEMENTS,
        intervals::STATEMENTS,
        tags::STATEMENTS,
    ]
    .concat();
    let mut all: Vec<_> = fixed.into_iter().map(str::to_owned).collect();
    all.extend(bodies::statements());
    all.extend(changes::statements());
    all
}

/// What must be looked up by intervals (`0004_intervals`).
#[cfg(test)]
pub(crate) const fn past_statements() -> &'static [&'static str] {
    intervals::STATEMENTS
}
