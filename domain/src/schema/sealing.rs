//! Which parts of a body are sealed at rest, and with whose key (DESIGN §4, "Secrets").

use std::borrow::Cow;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::catalogue::{Kind, field_seals};
use super::definition::{FieldSchema, RecordSchema, ValueType};

/// A value that is sealed at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedPath {
    /// Names of members and indexes of elements, from the body down.
    pub path: Vec<Cow<'static, str>>,
    /// Whose data key seals it.
    pub sealing: Sealing,
}

/// Whose data key seals a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sealing {
    /// The boundary's.
    Boundary,
    /// The consumer's that the entity is or belongs to: [`owner`].
    Owner,
}

/// What stands in place of a secret where its reader may not read it. It is no value: a body with it is refused, so that nobody makes a
/// secret of it by writing back what they were shown.
pub const REDACTED: &str = "{redacted}";

/// A plugin's own settings.
const CONFIG: &str = "config";

/// The values of this body that are sealed at rest: set ones only, in schema order. Fields marked `encrypted` or
/// sealed by `schemas/secrets.json`, those of the body's plugin included, and a consumer's personal fields. Of a plugin that isn't Kong's the whole `config`: what
/// is secret in it only its group's schema knows.
pub fn sealed_paths(kind: Kind, body: &Map<String, Value>) -> Vec<SealedPath> {
    let schema = kind.schema();
    if !schema.may_seal {
        return Vec::new();
    }
    let sealing = if schema.owned {
        Sealing::Owner
    } else {
        Sealing::Boundary
    };
    let mut found = Vec::new();
    in_record(schema.record_for(body), body, &mut Vec::new(), &mut found);
    if schema.has_plugins()
        && schema.subschema_for(body).is_none()
        && !body.get(CONFIG).is_none_or(Value::is_null)
    {
        found.push(vec![Cow::Borrowed(CONFIG)]);
    }
    found
        .into_iter()
        .map(|path| SealedPath { path, sealing })
        .collect()
}

/// The consumer whose key seals this body's secrets: itself, or the one it belongs to.
pub fn owner(kind: Kind, body: &Map<String, Value>) -> Option<Uuid> {
    let schema = kind.schema();
    if !schema.owned {
        return None;
    }
    let holder = match schema.fields().iter().find(|field| field.owner) {
        Some(field) => body.get(field.name)?.as_object()?,
        None => body,
    };
    Uuid::parse_str(holder.get("id")?.as_str()?).ok()
}

type Segments = Vec<Cow<'static, str>>;

fn in_record(
    record: &'static RecordSchema,
    body: &Map<String, Value>,
    path: &mut Segments,
    found: &mut Vec<Segments>,
) {
    for field in record.fields.iter().filter(|field| field_seals(field)) {
        if let Some(value) = body.get(field.name).filter(|value| !value.is_null()) {
            path.push(Cow::Borrowed(field.name));
            in_value(field, value, path, found);
            path.pop();
        }
    }
}

fn in_value(field: &'static FieldSchema, value: &Value, path: &mut Segments, found: &mut Vec<Segments>) {
    if field.sealed || field.personal {
        found.push(path.clone());
        return;
    }
    match (&field.value_type, value) {
        (ValueType::Record(record), Value::Object(members)) => in_record(record, members, path, found),
        (ValueType::Map(_, values), Value::Object(members)) => {
            for (name, member) in members.iter().filter(|(_, member)| !member.is_null()) {
                path.push(Cow::Owned(name.clone()));
                in_value(values, member, path, found);
                path.pop();
            }
        }
        (ValueType::Array(elements) | ValueType::Set(elements), Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Cow::Owned(index.to_string()));
                in_value(elements, item, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a";

    fn sealed(kind: &str, body: Value) -> Vec<(String, Sealing)> {
        let paths = sealed_paths(Kind::named(kind).unwrap(), body.as_object().unwrap());
        paths
            .into_iter()
            .map(|sealed| (sealed.path.join("."), sealed.sealing))
            .collect()
    }

    #[test]
    fn secrets_and_personal_fields_that_are_set_are_sealed() {
        let boundary = |path: &str| (path.to_owned(), Sealing::Boundary);
        let of_owner = |path: &str| (path.to_owned(), Sealing::Owner);
        let certificate = json!({"cert": "c", "key": "k", "key_alt": null});
        assert_eq!(sealed("certificates", certificate), [boundary("key")]);
        let consumer = json!({"id": ID, "username": "u", "custom_id": "c", "tags": null});
        assert_eq!(
            sealed("consumers", consumer),
            [of_owner("username"), of_owner("custom_id")]
        );
        let credential = json!({"consumer": {"id": ID}, "key": "k"});
        assert_eq!(sealed("keyauth_credentials", credential), [of_owner("key")]);
        let plugin = json!({"name": "rate-limiting", "config": {"redis": {"password": "p", "host": "h"}}});
        assert_eq!(sealed("plugins", plugin), [boundary("config.redis.password")]);
        assert_eq!(sealed("plugins", json!({"name": "cors", "config": {}})), []);
        let log = json!({"name": "http-log", "config": {"http_endpoint": "e", "headers": {"x-token": "t"}}});
        assert_eq!(
            sealed("plugins", log),
            [
                boundary("config.http_endpoint"),
                boundary("config.headers.x-token")
            ]
        );
        let key = json!({"jwk": null, "pem": {"private_key": "p", "public_key": "q"}});
        assert_eq!(sealed("keys", key), [boundary("pem.private_key")]);
        let client = json!({"consumer": {"id": ID}, "client_id": "c", "client_secret": "s"});
        assert_eq!(
            sealed("oauth2_credentials", client),
            [of_owner("client_id"), of_owner("client_secret")]
        );
        let basic = json!({"consumer": {"id": ID}, "username": "u", "password": "p"});
        assert_eq!(
            sealed("basicauth_credentials", basic),
            [of_owner("username"), of_owner("password")]
        );
    }

    #[test]
    fn a_kind_without_secrets_costs_nothing() {
        for (kind, may_seal) in [
            ("services", false),
            ("routes", false),
            ("plugins", true),
            ("certificates", true),
        ] {
            assert_eq!(Kind::named(kind).unwrap().schema().may_seal, may_seal, "{kind}");
        }
    }

    #[test]
    fn the_owner_is_the_consumer_itself_or_the_one_referred_to() {
        let id = Uuid::parse_str(ID).unwrap();
        let owner_of = |kind: &str, body: Value| owner(Kind::named(kind).unwrap(), body.as_object().unwrap());
        assert_eq!(owner_of("consumers", json!({"id": ID})), Some(id));
        assert_eq!(
            owner_of("keyauth_credentials", json!({"id": "x", "consumer": {"id": ID}})),
            Some(id)
        );
        assert_eq!(
            owner_of("plugins", json!({"id": ID, "consumer": {"id": ID}})),
            None
        );
    }
}
