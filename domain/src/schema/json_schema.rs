//! A kind's body as JSON Schema: 2020-12 for the OpenAPI 3.1 document, and the way Konnect writes it for decK.

use serde_json::{Map, Number, Value, json};

use super::catalogue::Kind;
use super::definition::{Auto, Constraint, FieldSchema, RecordSchema, ValueType};
use super::fill::integral;

/// Who reads the schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Validators and generators: what is null and what is unknown is said.
    OpenApi,
    /// decK, which reads types and defaults: a type is one name, and only what refers to another entity is closed, because
    /// decK fills no defaults into closed objects (`deck-go-kong.md` §1.7).
    Konnect,
}

/// The schema of a body of this kind, without what depends on a subschema (a plugin's `config` is any object).
pub fn json_schema(kind: Kind) -> Value {
    body(kind, Dialect::OpenApi)
}

/// The same as decK reads it from Konnect; what a vault's `config` holds stands under the vault's name.
pub fn konnect_json_schema(kind: Kind) -> Value {
    let mut described = body(kind, Dialect::Konnect);
    if kind.name() == "vaults" {
        described["allOf"] = configs_by_name(kind);
    }
    described
}

fn configs_by_name(kind: Kind) -> Value {
    let mut names: Vec<_> = kind.schema().subschemas.keys().copied().collect();
    names.sort_unstable();
    let condition = |name: &str| {
        let config = kind.schema().subschemas[name].record.field("config")?;
        let configs = json!({ name: field(config, Dialect::Konnect) });
        Some(json!({
            "if": { "properties": { "name": { "const": name } } },
            "then": { "properties": { "config": { "properties": configs } } },
        }))
    };
    names.into_iter().filter_map(condition).collect()
}

fn body(kind: Kind, dialect: Dialect) -> Value {
    let schema = kind.schema();
    let mut described = record(&schema.record, dialect);
    if schema.ttl {
        described["properties"]["ttl"] =
            json!({"type": ["integer", "null"], "minimum": 0, "maximum": 100_000_000});
    }
    described["title"] = Value::from(schema.name);
    described
}

fn record(record: &RecordSchema, dialect: Dialect) -> Value {
    let mut properties = Map::new();
    for shorthand in &record.shorthands {
        let mut described = field(&shorthand.field, dialect);
        described["writeOnly"] = Value::Bool(true);
        properties.insert(shorthand.field.name.to_owned(), described);
    }
    properties.extend(
        record
            .fields
            .iter()
            .map(|known| (known.name.to_owned(), field(known, dialect))),
    );
    let must_send = |known: &&FieldSchema| {
        let record = matches!(known.value_type, ValueType::Record(_));
        known.required && known.default.is_none() && known.auto.is_none() && !record
    };
    let required: Vec<_> = record
        .fields
        .iter()
        .filter(must_send)
        .map(|known| known.name)
        .collect();
    let open = record.fields.is_empty() || dialect == Dialect::Konnect;
    let mut described = json!({"type": "object", "properties": properties, "additionalProperties": open});
    if !required.is_empty() {
        described["required"] = json!(required);
    }
    described
}

fn field(field: &FieldSchema, dialect: Dialect) -> Value {
    let mut described = typed(field, dialect);
    for constraint in &field.constraints {
        constrain(&mut described, constraint);
    }
    if let Some(default) = &field.default {
        described["default"] = default.clone();
    }
    if matches!(field.auto, Some(Auto::UpdatedAt)) {
        described["readOnly"] = Value::Bool(true);
    }
    if field.equal == Some(Value::Null) {
        return json!({"type": "null"});
    }
    if !field.required && dialect == Dialect::OpenApi {
        nullable(&mut described);
    }
    described
}

fn typed(field: &FieldSchema, dialect: Dialect) -> Value {
    match &field.value_type {
        ValueType::String => json!({"type": "string"}),
        ValueType::Number => json!({"type": "number"}),
        ValueType::Integer => json!({"type": "integer"}),
        ValueType::Boolean => json!({"type": "boolean"}),
        ValueType::Array(elements) => json!({"type": "array", "items": self::field(elements, dialect)}),
        ValueType::Set(elements) => {
            json!({"type": "array", "uniqueItems": true, "items": self::field(elements, dialect)})
        }
        ValueType::Map(_, values) => {
            json!({"type": "object", "additionalProperties": self::field(values, dialect)})
        }
        ValueType::Record(inner) => record(inner, dialect),
        ValueType::Foreign(reference) => json!({
            "type": "object",
            "description": format!("One of {}, by id or by a unique field.", reference.name),
            "properties": {"id": {"type": "string", "format": "uuid"}},
            "additionalProperties": dialect == Dialect::OpenApi,
        }),
        ValueType::Json => json!({}),
    }
}

fn constrain(described: &mut Value, constraint: &Constraint) {
    let list = described["type"] == "array";
    let (least, most) = if list {
        ("minItems", "maxItems")
    } else {
        ("minLength", "maxLength")
    };
    match constraint {
        Constraint::Equal(value) => described["const"] = value.clone(),
        Constraint::Unequal(value) => described["not"] = json!({"const": value}),
        Constraint::NotOneOf(values) => described["not"] = json!({"enum": values.listed()}),
        Constraint::OneOf(values) => described["enum"] = json!(values.listed()),
        Constraint::GreaterThan(least) => described["exclusiveMinimum"] = bound(*least),
        Constraint::Between(low, high) => {
            described["minimum"] = bound(*low);
            described["maximum"] = bound(*high);
        }
        Constraint::Uuid => described["format"] = Value::from("uuid"),
        Constraint::LengthEqual(length) => {
            described[least] = json!(length);
            described[most] = json!(length);
        }
        Constraint::LengthMin(length) => described[least] = json!(length),
        Constraint::LengthMax(length) => described[most] = json!(length),
        // Lua patterns and rule functions have no equivalent here; the server's answer explains them.
        _ => {}
    }
}

/// A limit as a number of JSON: whole ones without a fraction.
fn bound(limit: f64) -> Value {
    Number::from_f64(limit).map_or(Value::Null, integral)
}

fn nullable(described: &mut Value) {
    if let Some(Value::String(name)) = described.get("type") {
        described["type"] = json!([name, "null"]);
    }
    if let Some(Value::Array(choices)) = described.get_mut("enum") {
        choices.push(Value::Null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_described_with_types_limits_and_what_must_be_sent() {
        let services = json_schema(Kind::named("services").unwrap());
        assert_eq!(services["required"], json!(["host"]));
        let port = &services["properties"]["port"];
        assert_eq!(
            (&port["type"], &port["maximum"]),
            (&json!("integer"), &json!(65535))
        );
        assert_eq!(services["properties"]["name"]["type"], json!(["string", "null"]));
        assert_eq!(services["properties"]["url"]["writeOnly"], json!(true));
        assert_eq!(services["properties"]["updated_at"]["readOnly"], json!(true));
        let plugins = json_schema(Kind::named("plugins").unwrap());
        assert_eq!(
            plugins["properties"]["config"]["additionalProperties"],
            json!(true)
        );
    }

    #[test]
    fn deck_finds_every_default_where_it_looks() {
        let upstreams = konnect_json_schema(Kind::named("upstreams").unwrap());
        let field = |path: &str| upstreams.pointer(path).cloned();
        assert_eq!(field("/properties/slots/default"), Some(json!(10_000)));
        let checks = "/properties/healthchecks";
        assert_eq!(field(&format!("{checks}/type")), Some(json!("object")));
        assert_ne!(
            field(&format!("{checks}/additionalProperties")),
            Some(json!(false))
        );
        let concurrency = format!("{checks}/properties/active/properties/concurrency/default");
        assert_eq!(field(&concurrency), Some(json!(10)));
        let certificate = "/properties/client_certificate/additionalProperties";
        assert_eq!(field(certificate), Some(json!(false)));
        assert_eq!(field("/properties/name/type"), Some(json!("string")));
    }

    #[test]
    fn deck_finds_a_vaults_config_under_its_name() {
        let vaults = konnect_json_schema(Kind::named("vaults").unwrap());
        assert_eq!(
            vaults["allOf"][0]["if"]["properties"]["name"]["const"],
            json!("env")
        );
        let config = &vaults["allOf"][0]["then"]["properties"]["config"]["properties"]["env"];
        assert_eq!(config["properties"]["prefix"]["type"], json!("string"));
    }
}
