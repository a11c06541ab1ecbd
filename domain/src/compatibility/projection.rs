//! An entity's body, cut to what a release knows: unknown fields are left out, values the release would refuse withhold
//! the configuration, because an instance refuses a whole configuration for one of either.

use serde_json::{Map, Value};

use super::field_lists::{Definition, Field};
use super::path::Path;
use super::unset::{is_default, without_unset};
use super::write::Report;
use super::{Dialect, Effect, Incompatibility, rules};
use crate::schema::{FieldSchema, RecordSchema, ValueType};

const WITHHELD: Effect = Effect::Withheld(Incompatibility::Configuration);

/// Leaves the members of a body that the release knows.
pub(super) fn project(
    report: &mut Report<'_>,
    body: &mut Map<String, Value>,
    fields: &Field,
    schema: &RecordSchema,
) {
    Projection { report }.record(body, fields, Some(schema), Path::top());
}

struct Projection<'r, 'e> {
    report: &'r mut Report<'e>,
}

impl Projection<'_, '_> {
    fn record(
        &mut self,
        members: &mut Map<String, Value>,
        fields: &Field,
        schema: Option<&RecordSchema>,
        at: Path<'_>,
    ) {
        members.retain(|name, value| {
            let known = || schema.and_then(|schema| schema.field(name));
            let Some(field) = fields.below.get(name) else {
                self.left_out(value, known(), None, at.field(name));
                return false;
            };
            if value.is_null() {
                return field.definition.keeps_null();
            }
            self.check(value, &field.definition, at.field(name));
            // Most values are plain, and looking a field up takes time.
            if value.is_object() || value.is_array() {
                self.below(value, field, known(), at.field(name));
            }
            true
        });
        for (name, field) in &fields.below {
            if field.definition.must_be_sent() && !members.contains_key(name) {
                let message = format!(
                    "Kong {} demands a value: set one, or update the instance",
                    self.report.release()
                );
                self.report.field(at.field(name), WITHHELD, message);
            }
        }
    }

    /// What a value holds.
    fn below(&mut self, value: &mut Value, field: &Field, known: Option<&FieldSchema>, at: Path<'_>) {
        let is_described = !field.below.is_empty();
        let within = known.map(|known| &known.value_type);
        let of_elements = || {
            within
                .and_then(elements_of)
                .and_then(|element| record_of(&element.value_type))
        };
        match (field.definition.value_type.as_str(), &mut *value) {
            ("foreign", Value::Object(reference)) => {
                if self.report.dialect() == Dialect::Document {
                    *value = reference.remove("id").unwrap_or_default();
                }
            }
            ("record", Value::Object(members)) if is_described => {
                self.record(members, field, within.and_then(record_of), at);
            }
            ("array" | "set", Value::Array(items)) if is_described => {
                for item in items.iter_mut().filter_map(Value::as_object_mut) {
                    self.record(item, field, of_elements(), at);
                }
            }
            ("map", Value::Object(members)) if is_described => {
                for item in members.values_mut().filter_map(Value::as_object_mut) {
                    self.record(item, field, of_elements(), at);
                }
            }
            (_, value) => *value = without_unset(value.take(), known),
        }
    }

    /// What the release would refuse.
    fn check(&mut self, value: &Value, definition: &Definition, at: Path<'_>) {
        let refusal = match value {
            _ if definition.only_null => "doesn't accept a value here".to_owned(),
            _ if !definition.fits_type(value) => format!("expects a value of type {}", definition.value_type),
            _ if let Some(refused) = definition.refused_choice(value) => {
                format!("doesn't know the value {refused}")
            }
            _ if !definition.is_in_range(value) => format!("doesn't accept the value {value}"),
            _ => return,
        };
        let message = format!(
            "Kong {} {refusal}: change the field, or update the instance",
            self.report.release()
        );
        self.report.field(at, WITHHELD, message);
    }

    /// A field that the release doesn't know: every value below it that isn't its default is a loss.
    fn left_out(
        &mut self,
        value: &Value,
        known: Option<&FieldSchema>,
        default: Option<&Value>,
        at: Path<'_>,
    ) {
        let default = default.or_else(|| match known {
            Some(known) => known.default.as_ref(),
            // Rewritten to what only some releases have.
            None => self.report.later_default(&at.to_string()),
        });
        if known.is_some_and(FieldSchema::is_generated) || is_default(value, known, default) {
            return;
        }
        if let (Value::Object(members), Some(record)) =
            (value, known.and_then(|known| record_of(&known.value_type)))
        {
            for (name, value) in members {
                let default = default.and_then(|default| default.get(name));
                self.left_out(value, record.field(name), default, at.field(name));
            }
            return;
        }
        let release = self.report.release();
        if rules::is_guarded(self.report.owner(), &at.to_string()) {
            let message = format!(
                "Kong {release} doesn't have this field, and leaving it out would protect less: unset it, or update the \
                 instance"
            );
            self.report.field(at, WITHHELD, message);
        } else {
            let message = format!("Kong {release} doesn't have this field: it has no effect there");
            self.report.field(at, Effect::FieldLeftOut, message);
        }
    }
}

fn record_of(value_type: &ValueType) -> Option<&RecordSchema> {
    match value_type {
        ValueType::Record(record) => Some(record),
        _ => None,
    }
}

fn elements_of(value_type: &ValueType) -> Option<&FieldSchema> {
    match value_type {
        ValueType::Array(element) | ValueType::Set(element) | ValueType::Map(_, element) => Some(element),
        _ => None,
    }
}

impl Definition {
    /// Null says something only where its absence would be filled.
    fn keeps_null(&self) -> bool {
        self.default.is_some() && !self.required
    }

    /// Without a value the release refuses the entity.
    fn must_be_sent(&self) -> bool {
        self.required && self.default.is_none() && self.value_type != "record"
    }

    fn fits_type(&self, value: &Value) -> bool {
        match self.value_type.as_str() {
            "string" => value.is_string(),
            "number" => value.is_number(),
            "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            "boolean" => value.is_boolean(),
            "array" | "set" => value.is_array(),
            "map" | "record" | "foreign" => value.is_object(),
            _ => true,
        }
    }

    /// A value, or one of an array's, that isn't among those the release knows. A reference to a vault always passes.
    fn refused_choice<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let refused = |value: &&Value| {
            let is_reference = value.as_str().is_some_and(|text| text.starts_with("{vault://"));
            !is_reference && !self.one_of.contains(value)
        };
        match value {
            _ if self.one_of.is_empty() => None,
            Value::Array(items) => items.iter().find(refused),
            value => Some(value).filter(refused),
        }
    }

    fn is_in_range(&self, value: &Value) -> bool {
        let in_range = |(least, most): (f64, f64)| {
            value
                .as_f64()
                .is_none_or(|number| (least..=most).contains(&number))
        };
        self.between.is_none_or(in_range)
    }
}
