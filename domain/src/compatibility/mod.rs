//! What a gateway of a version can take of a group's configuration: every entity written for every level, and what was
//! lost on the way.
//!
//! - [`Level`]: what matters of an instance; [`Release`] and [`GatewayVersion`] its version.
//! - [`write`] is the journey of an entity: `switched_off` leaves out what is disabled, `availability` what the instance
//!   has no plugin for, `rewrite` spells it as the release does, and `projection` leaves out what the release doesn't
//!   know. Each says what it did in [`Finding`]s. All of it is a pure function of group, entity and level.
//! - `field_lists`: what fields each release has, `schemas/versions/fields.jsonl`; `rules`: what is to be rewritten and
//!   what may never be left out, `schemas/versions/rules.json`.
//! - [`affected`] and [`aged`]: what has to be written again with an entity, and as time goes by; [`knows`]: which kinds
//!   an instance knows at all; [`preamble`]: what isn't an entity.

mod affected;
mod authorities;
mod availability;
mod field_lists;
mod finding;
mod gateway_version;
mod level;
mod path;
mod preamble;
mod projection;
mod release;
mod rewrite;
mod routing;
mod rules;
mod support;
mod switched_off;
mod unset;
mod write;

pub use affected::affected;
pub use authorities::aged;
pub use availability::knows;
pub use finding::{Effect, Finding, Incompatibility};
pub use gateway_version::GatewayVersion;
pub use level::{Dialect, Level, RouterFlavor, is_bundled_plugin};
pub use preamble::{DEFAULT_WORKSPACE, preamble};
pub use release::{Release, Unsupported};
pub use write::{Written, write};
