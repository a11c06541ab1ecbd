//! Transformations: what a write makes of fields before they are stored, and what it needs for that (README §7).

use serde_json::{Map, Value};

use super::catalogue::KindSchema;
use super::definition::{Path, Transformation};
use super::fill::Generator;
use super::shorthand::value_at;
use super::validate::is_empty;
use super::violation::put_entity;

/// What the credentials' secrets in a body are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secrets {
    /// As their holders know them: hashed before they are stored, where the kind says so.
    #[default]
    Plain,
    /// Hashed already: stored as they are.
    Hashed,
}

/// Says which transformations lack something they need: all of their fields or none come with one request.
pub(super) fn check(
    schema: &KindSchema,
    secrets: Secrets,
    request: &Map<String, Value>,
    body: &Map<String, Value>,
    existing: Option<&Map<String, Value>>,
    errors: &mut Map<String, Value>,
) {
    for transformation in due(schema, secrets) {
        let sent = |path: &Path| !is_empty(value_at(request, path));
        let needs_changed = existing.is_some_and(|existing| {
            let differs = |path: &Path| value_at(request, path) != value_at(existing, path);
            transformation.needs.iter().any(differs)
        });
        let any_input = transformation.inputs.iter().any(|path| match existing {
            Some(_) => sent(path),
            None => !is_empty(value_at(body, path)),
        });
        if !needs_changed && !any_input {
            continue;
        }
        let source = if needs_changed { request } else { body };
        let fields = || transformation.inputs.iter().chain(&transformation.needs);
        let set = fields().filter(|path| !is_empty(value_at(source, path))).count();
        if set != 0 && set != fields().count() {
            let text = format!(
                "all or none of these fields must be set: {}",
                transformation.quoted
            );
            put_entity(errors, text);
        }
    }
}

/// Transforms a valid body whose request brought the inputs.
pub(super) fn apply(
    schema: &KindSchema,
    secrets: Secrets,
    request: &Map<String, Value>,
    body: &mut Map<String, Value>,
    generator: &mut dyn Generator,
) {
    for transformation in due(schema, secrets) {
        let sent = |path: &Path| !is_empty(value_at(request, path));
        if transformation.derives || transformation.inputs.iter().all(sent) {
            (transformation.rule)(body, generator);
        }
    }
}

/// What isn't derived from other fields hashes a secret.
fn due(schema: &KindSchema, secrets: Secrets) -> impl Iterator<Item = &Transformation> {
    schema
        .transformations
        .iter()
        .filter(move |transformation| transformation.derives || secrets == Secrets::Plain)
}
