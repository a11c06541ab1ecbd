//! Plugins that somebody has written: their schemas are uploaded as `schema.lua`, become documents like the catalogue's files, and
//! are then run by the same engine, for one group.
//!
//! - [`definition`]: a text's document, checked; [`function`]: the schema's own validators; [`judgement`]: what they say, as values.
//! - [`evaluation`]: Lua itself, for a process of its own ([`crate::sandbox`]).

mod definition;
pub mod evaluation;
mod function;
mod judgement;

use std::sync::Arc;

use imbl::HashMap;
use serde_json::{Map, Value};

use super::catalogue::{KindSchema, Subschema};
use super::compile;
use super::definition::RecordSchema;

pub use definition::{PluginDefinition, UnusableSchema};
pub(super) use function::LuaFunction;
pub use judgement::{Judge, Judgements, Question};

/// The plugins of a group that aren't Kong's, by name.
#[derive(Clone, Debug, Default)]
pub struct CustomPlugins(HashMap<Arc<str>, Arc<Subschema>>);

impl CustomPlugins {
    /// Adds a plugin, or replaces its schema.
    pub fn insert(&mut self, name: &str, source: &str, document: &Value) -> Result<(), UnusableSchema> {
        let compiled = compile::custom_plugin(document, &Arc::from(source)).map_err(UnusableSchema)?;
        self.0.insert(name.into(), Arc::new(compiled));
        Ok(())
    }

    /// Forgets a plugin.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// A plugin's `{fields, entity_checks}`, as `/schemas/plugins/{name}` shows them.
    pub fn document(&self, name: &str) -> Option<&Value> {
        self.0.get(name).map(|subschema| &subschema.document)
    }

    /// The plugins' names, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }

    /// The subschema of a body, Kong's own first.
    pub(super) fn subschema_for<'s>(
        &'s self,
        schema: &'s KindSchema,
        body: &Map<String, Value>,
    ) -> Option<&'s Subschema> {
        schema.subschema_for(body).or_else(|| {
            let key = schema.subschema_key.filter(|_| schema.has_plugins())?;
            self.0.get(body.get(key)?.as_str()?).map(Arc::as_ref)
        })
    }

    /// Fields, shorthands and checks that apply to a body.
    pub(crate) fn record_for<'s>(
        &'s self,
        schema: &'s KindSchema,
        body: &Map<String, Value>,
    ) -> &'s RecordSchema {
        self.subschema_for(schema, body)
            .map_or(&schema.record, |subschema| &subschema.record)
    }
}
