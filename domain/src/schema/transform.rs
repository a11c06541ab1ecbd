//! Transformations: what a write makes of fields before they are stored, and what it needs for that (README §7).

use serde_json::{Map, Value};

use super::catalogue::{Kind, KindSchema};
use super::definition::{Path, Transformation};
use super::fill::Generator;
use super::rules::{SlowHash, TransformationRule};
use super::sealing::REDACTED;
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
        let any_input = transformation.inputs.iter().any(sent);
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
        let starts = transformation.inputs.iter().all(sent);
        match transformation.rule {
            TransformationRule::Derive(field, rule) => {
                if let Some(value) = rule(body) {
                    body.insert(field.to_owned(), value);
                }
            }
            TransformationRule::Hash(rule) if starts => rule(body),
            // Only a secret that was generated just now comes here unhashed.
            TransformationRule::SlowHash(slow) if starts && (slow.wanted)(body) => {
                if let Some(Value::String(secret)) = body.get(slow.field) {
                    let hash = (slow.hash)(secret, generator);
                    body.insert(slow.field.to_owned(), hash.into());
                }
            }
            TransformationRule::Hash(_) | TransformationRule::SlowHash(_) => {}
        }
    }
}

/// The field of this kind whose secrets take long to hash, if it has one: hash them before the writer, with
/// [`slow_hash`].
pub fn slowly_hashed(kind: Kind) -> Option<&'static str> {
    slow(kind).map(|slow| slow.field)
}

/// The field of a body as it was sent that holds a secret which takes long to hash, and its hash; `stored` is what the
/// entity holds now, whose hash stays if it is of the same secret. None where nothing is to be hashed.
pub fn slow_hash(
    kind: Kind,
    body: &Map<String, Value>,
    stored: Option<&Map<String, Value>>,
    generator: &mut dyn Generator,
) -> Option<(&'static str, String)> {
    let (slow, secret) = to_hash_slowly(kind, body)?;
    let kept = stored.and_then(|stored| kept_hash(kind, body, stored));
    let hash = kept.unwrap_or_else(|| (slow.hash)(secret, generator));
    Some((slow.field, hash))
}

/// The hash that an entity holds, if it is of the secret in a body as it was sent. It costs as much as hashing.
pub fn kept_hash(kind: Kind, body: &Map<String, Value>, stored: &Map<String, Value>) -> Option<String> {
    let (slow, secret) = to_hash_slowly(kind, body)?;
    let hash = stored.get(slow.field)?.as_str()?;
    (slow.is_of)(hash, secret).then(|| hash.to_owned())
}

/// The secret in a body that is to be hashed, and how.
fn to_hash_slowly(kind: Kind, body: &Map<String, Value>) -> Option<(SlowHash, &str)> {
    let slow = slow(kind)?;
    let secret = body
        .get(slow.field)?
        .as_str()
        .filter(|secret| !secret.is_empty() && *secret != REDACTED)?;
    (slow.wanted)(body).then_some((slow, secret))
}

fn slow(kind: Kind) -> Option<SlowHash> {
    let transformations = &kind.schema().transformations;
    transformations
        .iter()
        .find_map(|transformation| match transformation.rule {
            TransformationRule::SlowHash(slow) => Some(slow),
            TransformationRule::Derive(..) | TransformationRule::Hash(_) => None,
        })
}

/// The fields that follow from others of a body as it was sent, such as a CA certificate's `cert_digest`.
pub fn derived(kind: Kind, body: &Map<String, Value>) -> Map<String, Value> {
    let mut found = Map::new();
    for transformation in &kind.schema().transformations {
        if let TransformationRule::Derive(field, rule) = transformation.rule
            && let Some(value) = rule(body)
        {
            found.insert(field.to_owned(), value);
        }
    }
    found
}

/// Whether this stored body holds the hash of a secret.
pub fn holds_hashed_secret(kind: Kind, body: &Map<String, Value>) -> bool {
    let set = |path: &Path| {
        !matches!(
            value_at(body, path),
            None | Some(Value::Null | Value::Bool(false))
        )
    };
    due(kind.schema(), Secrets::Plain)
        .filter(|transformation| transformation.hashes())
        .any(|transformation| transformation.inputs.iter().chain(&transformation.needs).all(set))
}

/// Whether bodies of this kind may hold the hash of a secret.
pub fn may_hash(kind: Kind) -> bool {
    kind.schema().transformations.iter().any(Transformation::hashes)
}

/// What isn't derived from other fields hashes a secret.
fn due(schema: &KindSchema, secrets: Secrets) -> impl Iterator<Item = &Transformation> {
    schema
        .transformations
        .iter()
        .filter(move |transformation| !transformation.hashes() || secrets == Secrets::Plain)
}
