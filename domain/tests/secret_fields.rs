//! `schemas/secrets.json` knows every field: what holds a text of its writer's is sealed, personal, or shown for a reason.

#![expect(clippy::unwrap_used, reason = "a test that can't go on panics")]

use std::collections::{BTreeMap, BTreeSet};

use domain::Kind;
use domain::group::Entity;
use domain::schema::{FieldSchema, RecordSchema, ValueType, sealed_paths};
use serde_json::{Map, Value, json};

/// A field that a body may have a text in: where, and whether it is kept from those who may not read secrets, or personal.
struct Text {
    path: String,
    kept: bool,
}

fn texts_of_record(record: &RecordSchema, above: &str, found: &mut Vec<Text>) {
    for field in &record.fields {
        let path = match above {
            "" => field.name.to_owned(),
            above => format!("{above}.{}", field.name),
        };
        texts(field, &path, false, found);
    }
}

fn texts(field: &FieldSchema, path: &str, kept: bool, found: &mut Vec<Text>) {
    let kept = kept || field.sealed || field.personal;
    match &field.value_type {
        ValueType::Record(record) if kept => assert!(!record.fields.is_empty()),
        ValueType::Record(record) => texts_of_record(record, path, found),
        ValueType::Array(elements) | ValueType::Set(elements) => {
            texts(elements, &format!("{path}.[]"), kept, found);
        }
        ValueType::Map(_, values) => texts(values, &format!("{path}.{{}}"), kept, found),
        ValueType::String | ValueType::Json if !field.has_known_values() => found.push(Text {
            path: path.to_owned(),
            kept,
        }),
        _ => {}
    }
}

/// Every schema file of what groups are configured with, and the texts in it.
fn all_texts() -> BTreeMap<String, Vec<Text>> {
    let mut all = BTreeMap::new();
    for kind in Kind::all().filter(|kind| kind.schema().configuration) {
        let schema = kind.schema();
        let mut found = Vec::new();
        texts_of_record(&schema.record, "", &mut found);
        for name in schema.subschema_names() {
            let chosen = match schema.subschema_key {
                Some("protocols") => json!({ "protocols": [name] }),
                _ => json!({ "name": name }),
            };
            let record = schema.record_for(chosen.as_object().unwrap());
            if kind.name() == "plugins" {
                let config = record.field("config").unwrap();
                let mut found = Vec::new();
                texts(config, "config", false, &mut found);
                all.insert(format!("plugins/{name}"), found);
            } else {
                texts_of_record(record, "", &mut found);
            }
        }
        all.insert(format!("entities/{kind}"), found);
    }
    all
}

fn shown() -> BTreeMap<String, BTreeSet<String>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/secrets.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (reason, files) in document["shown"].as_object().unwrap() {
        assert!(!reason.is_empty());
        for (file, paths) in files.as_object().unwrap() {
            for path in paths.as_array().unwrap() {
                let path = path.as_str().unwrap().to_owned();
                let is_new = shown.entry(file.clone()).or_default().insert(path.clone());
                assert!(is_new, "{file} {path} is shown for two reasons");
            }
        }
    }
    shown
}

#[test]
fn every_text_is_kept_or_shown_for_a_reason() {
    let shown = shown();
    let mut missing = Vec::new();
    for (file, texts) in all_texts() {
        let reasons = shown.get(&file).cloned().unwrap_or_default();
        for Text { path, kept } in texts {
            if kept == reasons.contains(&path) {
                missing.push(format!(
                    "{file} {path}: kept {kept}, shown for a reason {}",
                    !kept
                ));
            }
        }
    }
    assert_eq!(
        missing, [""; 0],
        "say in schemas/secrets.json what each of these is"
    );
}

#[test]
fn no_reason_is_given_for_a_field_that_is_not_there() {
    let all = all_texts();
    for (file, paths) in shown() {
        let known: BTreeSet<_> = all[&file].iter().map(|text| text.path.clone()).collect();
        let unknown: Vec<_> = paths.difference(&known).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

/// The names by which people know secrets, addresses with credentials, and code.
const TELLING: [&str; 12] = [
    "secret",
    "passw",
    "token",
    "private",
    "credential",
    "url",
    "uri",
    "api_key",
    "apikey",
    "lua",
    "authorization",
    "hmac_key",
];

#[test]
fn what_is_called_a_secret_is_kept() {
    let harmless = ["lua_schema"];
    for (file, texts) in all_texts() {
        for Text { path, kept } in texts {
            let name = path.trim_end_matches(".[]").trim_end_matches(".{}");
            let name = name.rsplit('.').next().unwrap();
            let telling = TELLING.iter().any(|word| name.contains(word)) && !harmless.contains(&name);
            let is_name_of_one = path.contains("remove.")
                || path.contains("rename.")
                || path.contains("capture")
                || path.contains("_param_names");
            assert!(kept || !telling || is_name_of_one, "{file} {path}");
        }
    }
}

fn filled(field: &FieldSchema) -> Value {
    match &field.value_type {
        ValueType::Record(record) => Value::Object(filled_record(record)),
        ValueType::Array(elements) | ValueType::Set(elements) => json!([filled(elements)]),
        ValueType::Map(_, values) => json!({ "one": filled(values) }),
        ValueType::Boolean => json!(true),
        ValueType::Number | ValueType::Integer => json!(1),
        ValueType::Foreign(_) => Value::Null,
        ValueType::String | ValueType::Json if field.sealed => json!("hunter2"),
        ValueType::String | ValueType::Json => json!("open"),
    }
}

fn filled_record(record: &RecordSchema) -> Map<String, Value> {
    let fields = record.fields.iter();
    fields
        .map(|field| (field.name.to_owned(), filled(field)))
        .collect()
}

#[test]
fn the_sealed_values_of_every_plugin_are_found_wherever_they_stand() {
    let plugins = Kind::named("plugins").unwrap();
    let mut with_secrets = 0;
    for name in plugins.schema().subschema_names() {
        let chosen = json!({ "name": name });
        let record = plugins.schema().record_for(chosen.as_object().unwrap());
        let mut body = filled_record(record);
        body.insert("name".to_owned(), json!(name));
        let id = domain::EntityId(uuid::Uuid::nil());
        let text = Entity::from_map(plugins, id, &body).body;
        for sealed in sealed_paths(plugins, &body) {
            let pointer: String = sealed.path.iter().map(|segment| format!("/{segment}")).collect();
            let mut whole = Value::Object(std::mem::take(&mut body));
            *whole.pointer_mut(&pointer).unwrap() = Value::Null;
            body = whole.as_object().unwrap().clone();
            with_secrets += 1;
        }
        assert!(
            !Value::Object(body).to_string().contains("hunter2"),
            "{name}: {text}"
        );
    }
    assert!(with_secrets > 80, "{with_secrets}");
}
