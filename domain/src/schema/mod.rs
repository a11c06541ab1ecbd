//! Kong's entities and plugins as data: one engine that fills, validates and describes every kind the same way.
//!
//! The files in `domain/schemas/` say everything about a kind or a plugin except the rules that data cannot express;
//! those are small pure functions in `rules`, named by the id the files use. Nothing else here knows a kind by name,
//! so adding one is adding its file to the list in `embedded`, and functions for ids that are new.
//! "README" in comments is `domain/schemas/README.md`: Kong's rules in words, and where this engine differs.
//!
//! Where to start reading: [`fill_and_validate`] in `write` is the journey of a body: `shorthand` rewrites input-only
//! fields, `fill` completes it, `validate` checks values (`constraint`) and combinations (`check`), `transform` hashes
//! what is stored hashed. `compile` turns files into the `definition`s these run on, once, into the `catalogue`.

mod catalogue;
mod check;
mod choices;
mod compile;
mod constraint;
mod custom;
mod definition;
mod document;
mod embedded;
mod fill;
mod json_schema;
mod pattern;
mod present;
mod reference;
mod rules;
mod sealing;
mod shorthand;
mod transform;
mod validate;
mod violation;
mod write;

pub use catalogue::{ForeignKey, Kind, KindSchema, OnDelete, PluginFacts, UniqueRule};
pub use custom::{CustomPlugins, Judge, Judgements, PluginDefinition, Question, UnusableSchema, evaluation};
pub use definition::{FieldSchema, RecordSchema, Reference, ValueType};
pub use document::{document, subschema_document};
pub use fill::Generator;
pub use json_schema::{json_schema, konnect_json_schema};
pub use present::{present, shown_as_stored, without_nulls};
pub use reference::{ForeignReference, foreign_reference};
pub(crate) use rules::certificate_expiry;
pub use sealing::{REDACTED, SealedPath, Sealing, owner, sealed_paths};
pub use transform::{Secrets, derived, holds_hashed_secret, kept_hash, may_hash, slow_hash, slowly_hashed};
pub use violation::SchemaViolation;
pub use write::{Write, fill_and_validate, transient};

/// Revision of the catalogue; raised whenever a schema file or rule changes what is stored.
pub const CATALOGUE_REVISION: u32 = 3;
