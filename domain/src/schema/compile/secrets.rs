//! Which fields are sealed, whose, and why the others aren't: `schemas/secrets.json`, put as marks at the fields of the schema files.

use serde_json::{Map, Value};

use super::super::embedded;
use super::{Fault, list, named, text};

/// The marks of each schema file: `entities/acls`, `plugins/zipkin`.
pub(super) struct Secrets(Map<String, Value>);

impl Secrets {
    /// As the program has them.
    pub(super) fn embedded() -> Result<Self, Fault> {
        let document: Value =
            serde_json::from_str(embedded::SECRETS).map_err(|error| format!("secrets: {error}"))?;
        match document.get("fields") {
            Some(Value::Object(files)) => Ok(Self(files.clone())),
            _ => Err("secrets: no fields".to_owned()),
        }
    }

    /// Marks the fields of a file's document.
    pub(super) fn mark(&self, file: &str, document: &mut Value) -> Result<(), Fault> {
        let Some(marks) = self.0.get(file) else {
            return Ok(());
        };
        if let Some(owner) = text(marks, "owner") {
            mark_field(document, owner, "x_owner")?;
        }
        for (member, mark) in [("sealed", "x_sealed"), ("personal", "x_personal")] {
            for path in list(marks, member).iter().filter_map(Value::as_str) {
                mark_field(document, path, mark)?;
            }
        }
        Ok(())
    }
}

/// Marks the field at `config.headers.{}`: `[]` are the elements of a list, `{}` the values of a map.
fn mark_field(document: &mut Value, path: &str, mark: &str) -> Result<(), Fault> {
    let absent = || format!("secrets: there is no field {path}");
    let field = path
        .split('.')
        .try_fold(document, |value, segment| match segment {
            "[]" => value.get_mut("elements"),
            "{}" => value.get_mut("values"),
            name => {
                let fields = value.get_mut("fields")?.as_array_mut()?;
                let mut named = fields
                    .iter_mut()
                    .filter(|entry| self::named(entry).is_ok_and(|(own, _)| own == name));
                named.next()?.get_mut(name)
            }
        });
    let field = field.and_then(Value::as_object_mut).ok_or_else(absent)?;
    field.insert(mark.to_owned(), Value::Bool(true));
    Ok(())
}
