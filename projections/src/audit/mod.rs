//! For auditors: what the log itself says, without views and stored states.
//!
//! - [`commits`]: one boundary's commits, checked and opened, from its first record on.
//! - [`group_record`]: a group by its name or id, looked up in the log.
//! - [`history`]: a group's changes, each with what its events did.
//! - [`replay`]: a group's configuration, folded from its first event.

mod commits;
mod group_record;
mod history;
mod replay;

pub use group_record::{AuditedGroup, GroupNotFound, find_group};
pub use history::{AuditedChange, AuditedEvent, GroupHistory};
pub use replay::{Replayed, Until, replay};
