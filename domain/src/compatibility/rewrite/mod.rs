//! Fields and values spelled as an older release spells them, before what it doesn't know is left out. The steps stand in
//! `schemas/versions/rules.json`; what takes more than a value or a name is a function here, one file per subject.

mod first_generation;
mod language_models;
mod queues;
mod redis;
mod single_rules;

use serde_json::{Map, Value, json};

use super::rules::{self, Step};
use super::write::Report;
use super::{Effect, Incompatibility};

/// Spells a body as the release does.
pub(super) fn rewrite(report: &mut Report<'_>, body: &mut Map<String, Value>) {
    let steps = rules::rewrites(report.owner(), report.level().release);
    let mut rewriting = Rewriting { report, body };
    for step in steps {
        rewriting.apply(step);
    }
}

/// A function of this name in the rules.
pub(super) fn function(name: &str) -> Option<fn(&mut Rewriting<'_, '_>)> {
    Some(match name {
        "acme_redis" => redis::acme,
        "batch_parameters" => queues::batch_parameters,
        "detected_regular_expressions" => first_generation::detected_regular_expressions,
        "filter_configuration_as_text" => single_rules::filter_configuration_as_text,
        "flat_redis" => redis::flat,
        "known_metrics" => first_generation::known_metrics,
        "lists_of_header_values" => first_generation::lists_of_header_values,
        "mistral_address" => language_models::mistral_address,
        "model_credential" => language_models::model_credential,
        "model_name" => language_models::model_name,
        "queue_parameters" => queues::queue_parameters,
        "stream_tls" => single_rules::stream_tls,
        "underscores_in_prefix" => single_rules::underscores_in_prefix,
        "web_protocols" => single_rules::web_protocols,
        _ => return None,
    })
}

/// A body on its way to an older spelling. Paths are dotted.
pub(super) struct Rewriting<'r, 'e> {
    report: &'r mut Report<'e>,
    body: &'r mut Map<String, Value>,
}

impl Rewriting<'_, '_> {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Value {
                field,
                is,
                becomes,
                also,
            } => {
                if self.value(field).is_some_and(|value| is.contains(value)) {
                    self.change(field, becomes.clone());
                    for (field, becomes) in also {
                        self.change(field, becomes.clone());
                    }
                }
            }
            Step::Rename { field, renamed } => {
                if let Some(value) = self.take(field) {
                    self.set(renamed, value);
                }
            }
            Step::Function { apply } => {
                if let Some(function) = function(apply) {
                    function(self);
                }
            }
        }
    }

    /// The value of a field; none where it is null or absent.
    fn value(&self, path: &str) -> Option<&Value> {
        let mut names = path.split('.');
        let first = self.body.get(names.next()?)?;
        let value = names.try_fold(first, |value, name| value.get(name))?;
        Some(value).filter(|value| !value.is_null())
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.value(path)?.as_str()
    }

    fn record_mut(&mut self, path: &str) -> Option<&mut Map<String, Value>> {
        let record: &mut Map<String, Value> = self.body;
        path.split('.')
            .filter(|name| !name.is_empty())
            .try_fold(record, |record, name| record.get_mut(name)?.as_object_mut())
    }

    /// The value of a field, perhaps null, which is gone then.
    fn take(&mut self, path: &str) -> Option<Value> {
        let (record, name) = path.rsplit_once('.').unwrap_or(("", path));
        self.record_mut(record)?.shift_remove(name)
    }

    /// Sets a field of a record that is there.
    fn set(&mut self, path: &str, value: Value) {
        let (record, name) = path.rsplit_once('.').unwrap_or(("", path));
        if let Some(record) = self.record_mut(record) {
            record.insert(name.to_owned(), value);
        }
    }

    /// Sets a field to what means something else than before, and says so.
    fn change(&mut self, path: &str, value: Value) {
        let before = self.value(path).cloned().unwrap_or(Value::Null);
        if before != value {
            let message = format!(
                "Kong {} doesn't know {before} here: it is sent as {value}",
                self.report.release()
            );
            self.found(path, Effect::Changed, message);
            self.set(path, value);
        }
    }

    fn found(&mut self, path: &str, effect: Effect, message: String) {
        self.report.field_named(path, effect, message);
    }

    fn withhold(&mut self, path: &str, message: String) {
        self.found(path, Effect::Withheld(Incompatibility::Configuration), message);
    }

    fn release(&self) -> &'static str {
        self.report.release()
    }

    /// Sets a field that is null or absent.
    fn set_if_unset(&mut self, path: &str, value: impl FnOnce(&mut Self) -> Value) {
        if self.value(path).is_none() {
            let value = value(self);
            self.set(path, value);
        }
    }

    /// A number of the `queue` record, which is gone from there then.
    fn taken_from_queue(&mut self, name: &str, otherwise: u32) -> Value {
        let path = format!("config.queue.{name}");
        let value = self.take(&path).filter(|value| !value.is_null());
        value.unwrap_or_else(|| json!(otherwise))
    }
}
