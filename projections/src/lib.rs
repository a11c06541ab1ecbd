//! Everything derived from the log: read models, history, live group state, stored states (DESIGN §6).
//!
//! What passes through, in order: [`reader`] follows the log and has each record checked and opened ([`decoding`]);
//! commits go to the [`live`] groups first and then by the [`feed`] to the [`projector`], which folds them into rows
//! ([`batch`]) and writes these with its checkpoint ([`write`]). [`views`] answers queries from the rows; [`rebuild`]
//! fills them anew beside those that are read; [`integrity`] watches that the file holds what was written. [`states`] and [`observed`] are kept in the same [`database`] but aren't
//! derived. Of many processes over one PostgreSQL database one projects ([`leading`], by a [`lease`]) and the others
//! hear how far it is ([`hearing`]); processes of another version of the program have views of their own there
//! ([`other_versions`]). [`audit`] needs none of it: it asks the log itself.
//!
//! [`standing`] looks at views without touching them.
//!
//! Where to start reading: [`Projections`], then [`reader`].

pub mod audit;
mod batch;
mod change_terms;
mod database;
mod decoding;
mod error;
mod feed;
mod hearing;
mod integrity;
mod leading;
mod lease;
mod live;
mod location;
mod observed;
mod other_versions;
mod progress;
mod projections;
mod projector;
mod reader;
mod rebuild;
mod recorded;
mod search_key;
mod shared;
mod standing;
#[cfg(test)]
mod statements;
mod states;
mod summary;
mod views;
mod write;

pub use database::Lane;
pub use error::{NotCaughtUp, ProjectionError, ViewError};
pub use integrity::inspect;
pub use leading::Leadership;
pub use live::{LiveError, LiveGroup, LiveGroups, LiveState};
pub use location::Location;
pub use observed::{Observed, ObservedNode};
pub use progress::Status;
pub use projections::{Options, Projections};
pub use recorded::Recorded;
pub use standing::{Standing, standing};
pub use summary::EventSummary;
pub use views::{
    ChangeDetail, ChangeFilter, ChangePage, ChangeRow, EntityChange, EntityPage, EntityQuery, EventDetail,
    GroupFilter, GroupPage, GroupRow, GroupSelector, GroupSort, HeldCertificate, Page, TagCursor, TagFilter,
    TagPage, TaggedEntity, Views,
};

// The harness's own fixtures: this room can't depend on the crate that depends on it.
#[cfg(test)]
#[path = "../../tests/src/eventually.rs"]
#[expect(unreachable_pub, reason = "a file of the harness")]
mod eventually;
#[cfg(test)]
#[path = "../../tests/src/postgres_server.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a file of the harness; these tests use part of it"
)]
mod postgres_server;
#[cfg(test)]
#[path = "../../tests/src/process.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "a file of the harness; these tests use part of it"
)]
mod process;
