//! An entity as answers carry it: deprecated mirrors filled in, secrets only for those who may read them.

use std::borrow::Cow;

use domain::group::Entity;
use domain::group::event::ERASED;
use domain::schema::{present, sealed_paths, shown_as_stored};
use domain::{Kind, Timestamp};
use serde_json::{Map, Value};

pub(crate) use domain::schema::REDACTED;

/// The seconds that are left of an entity's life: fewer with every reading, as Kong counts them.
pub(crate) fn time_left(entity: &Entity, now: Timestamp) -> Option<i64> {
    let milliseconds = entity.expires_at?.0 - now.0;
    Some(milliseconds.saturating_sub(1).div_euclid(1000).max(0))
}

/// An entity's body for a reader.
pub(crate) fn body(entity: &Entity, with_secrets: bool) -> Map<String, Value> {
    body_of(entity.kind, entity.map(), with_secrets)
}

/// The same of a body that was parsed already.
pub(crate) fn body_of(kind: Kind, mut body: Map<String, Value>, with_secrets: bool) -> Map<String, Value> {
    if !with_secrets {
        replace_secrets(kind, &mut body, REDACTED);
    }
    present(kind, body)
}

/// Whether bodies of this kind are what the reader may see as they are stored.
pub(crate) fn is_shown_as_stored(kind: Kind, with_secrets: bool) -> bool {
    (with_secrets || !kind.schema().may_seal) && shown_as_stored(kind)
}

/// The same as JSON text: a copy of the stored bytes where they are what the reader may see.
pub(crate) fn text(entity: &Entity, with_secrets: bool) -> String {
    if is_shown_as_stored(entity.kind, with_secrets) {
        return entity.body.as_ref().to_owned();
    }
    Value::Object(body(entity, with_secrets)).to_string()
}

/// The entity with its secrets blotted out; none if it has none.
pub(crate) fn without_secrets(entity: &Entity) -> Option<Entity> {
    instead_of_secrets(entity, REDACTED)
}

/// The entity with this in place of each of its secrets; none if it has none.
pub(crate) fn instead_of_secrets(entity: &Entity, text: &str) -> Option<Entity> {
    let mut body = entity.map();
    replace_secrets(entity.kind, &mut body, text).then(|| Entity::from_map(entity.kind, entity.id, &body))
}

/// The digest of a configuration for a reader: none for those who may not read secrets. Who knows all but a short secret could try
/// every one until the digest is the same.
pub(crate) fn digest(digest: impl ToString, with_secrets: bool) -> Value {
    match with_secrets {
        true => Value::from(digest.to_string()),
        false => Value::Null,
    }
}

/// What an instance says of a configuration, for a reader: it may repeat what is in it.
pub(crate) fn said_of_a_configuration(text: &str, with_secrets: bool) -> &str {
    if with_secrets { text } else { REDACTED }
}

/// Blots out what is a secret; answers whether there was any. Personal fields, sealed for the sake of erasure, stay.
fn replace_secrets(kind: Kind, body: &mut Map<String, Value>, text: &str) -> bool {
    let personal = |field: &str| {
        let known = kind.schema().record.field(field);
        known.is_some_and(|known| known.personal && !known.sealed)
    };
    let paths: Vec<_> = sealed_paths(kind, body)
        .into_iter()
        .map(|sealed| sealed.path)
        .filter(|path| path.first().is_some_and(|field| !personal(field)))
        .collect();
    for path in &paths {
        // What was erased is no secret any more, and says so.
        if let Some(value) = value_at(body, path).filter(|value| **value != ERASED) {
            *value = Value::from(text);
        }
    }
    !paths.is_empty()
}

fn value_at<'body>(
    body: &'body mut Map<String, Value>,
    path: &[Cow<'static, str>],
) -> Option<&'body mut Value> {
    let (first, rest) = path.split_first()?;
    let step = |value: &'body mut Value, segment: &Cow<'static, str>| match value {
        Value::Array(elements) => elements.get_mut(segment.parse::<usize>().ok()?),
        value => value.get_mut(segment.as_ref()),
    };
    rest.iter().try_fold(body.get_mut(first.as_ref())?, step)
}

/// The field by which people call entities of a kind; none where that is a secret, such as an API key.
pub(crate) fn name_field(kind: Kind) -> Option<&'static str> {
    let schema = kind.schema();
    let field = schema.record.field(schema.endpoint_key.unwrap_or("name"))?;
    (!field.sealed).then_some(field.name)
}

/// The input-only list of child names that every answer of this kind carries (a certificate's `snis`), and the
/// children's kind.
pub(crate) fn listed_children(kind: Kind) -> Option<(&'static str, Kind)> {
    let field = kind.schema().fields().iter().find(|field| field.transient)?;
    Kind::nested(kind, field.name).map(|child| (field.name, child))
}

#[cfg(test)]
mod tests {
    use domain::EntityId;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn entity(kind: &str, body: Value) -> Entity {
        Entity::from_map(
            Kind::named(kind).unwrap(),
            EntityId(Uuid::nil()),
            body.as_object().unwrap(),
        )
    }

    #[test]
    fn secrets_are_shown_only_to_those_who_may_read_them() {
        let certificate = entity("certificates", json!({"cert": "c", "key": "k", "key_alt": null}));
        assert_eq!(body(&certificate, true)["key"], "k");
        assert_eq!(body(&certificate, false)["key"], REDACTED);
        assert_eq!(body(&certificate, false)["key_alt"], Value::Null);
        assert_eq!(without_secrets(&certificate).unwrap().map()["key"], REDACTED);
    }

    #[test]
    fn a_consumers_name_is_no_secret() {
        let consumer = entity("consumers", json!({"username": "u", "custom_id": null}));
        assert_eq!(body(&consumer, false)["username"], "u");
        assert!(without_secrets(&consumer).is_none());
    }

    #[test]
    fn what_is_left_of_a_life_is_less_than_it_was_and_never_negative() {
        let born = Timestamp(1_000_000);
        let key = Entity {
            expires_at: Some(Timestamp(born.0 + 10_000)),
            ..entity("keyauth_credentials", json!({"key": "k", "ttl": 10}))
        };
        for (later, left) in [(0, 9), (999, 9), (1_000, 8), (9_999, 0), (60_000, 0)] {
            assert_eq!(time_left(&key, Timestamp(born.0 + later)), Some(left), "{later}");
        }
        let forever = entity("keyauth_credentials", json!({"key": "k"}));
        assert_eq!(time_left(&forever, born), None);
    }

    #[test]
    fn certificates_carry_the_names_of_their_snis() {
        let (field, child) = listed_children(Kind::named("certificates").unwrap()).unwrap();
        assert_eq!((field, child.name()), ("snis", "snis"));
        assert_eq!(listed_children(Kind::named("services").unwrap()), None);
    }
}
