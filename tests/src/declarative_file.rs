//! Declarative files in decK's format: the repository's own, and what one of them means whatever way it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::Kind;
use domain::declarative::{DeclaredEntity, parse};
use serde_json::{Map, Value};

/// The repository's own files.
///
/// # Panics
/// When there are none.
pub fn fixtures() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(fixture("")).expect("the fixtures are readable");
    let mut files: Vec<PathBuf> = folder
        .map(|entry| entry.expect("a folder's entry is readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "there are fixtures");
    files
}

/// One of them.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The name of a file without its extension.
///
/// # Panics
/// When it has none.
pub fn name_of(file: &Path) -> String {
    file.file_stem()
        .expect("a fixture has a name")
        .to_string_lossy()
        .into_owned()
}

/// A file's document.
///
/// # Panics
/// When it can't be read.
pub fn document(file: &Path) -> Value {
    let yaml = std::fs::read_to_string(file).expect("a fixture is readable");
    serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{error}: {yaml}"))
}

/// An entity as a file means it: its fields, with every other entity that it belongs or refers to called by its name, no matter
/// whether the file nests it and whether it says names or ids.
#[derive(Debug)]
struct Meant {
    kind: Kind,
    fields: Map<String, Value>,
}

/// Checks that `whole` has every entity that `part` has and no other; what they have beside what `part` says are defaults and ids.
///
/// # Panics
/// When it doesn't.
pub fn assert_same_meaning(place: &str, whole: &Value, part: &Value) {
    let (whole, part) = (meaning(whole), meaning(part));
    for wanted in &part {
        let mut candidates = whole.iter().filter(|other| other.kind == wanted.kind);
        let found = candidates.any(|other| contains(wanted.kind, &other.fields, &wanted.fields));
        let others = || {
            let kind = whole.iter().filter(|other| other.kind == wanted.kind);
            kind.map(|other| Value::from(other.fields.clone()).to_string())
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert!(
            found,
            "{place}: {} {} is lost; there are\n{}",
            wanted.kind,
            Value::from(wanted.fields.clone()),
            others()
        );
    }
    assert_eq!(counted(&whole), counted(&part), "{place}: how many of each kind");
}

fn counted(meant: &[Meant]) -> BTreeMap<&'static str, usize> {
    let mut counted = BTreeMap::new();
    for entity in meant {
        *counted.entry(entity.kind.name()).or_default() += 1;
    }
    counted
}

fn meaning(document: &Value) -> Vec<Meant> {
    let declared = parse(document).unwrap_or_else(|error| panic!("{error}")).entities;
    let mut names = BTreeMap::new();
    for entity in &declared {
        let name = name(entity);
        for key in ["id", "name", "username", "custom_id"] {
            if let Some(text) = entity.body.map().get(key).and_then(Value::as_str) {
                names.insert((entity.kind, text.to_owned()), name.clone());
            }
        }
    }
    declared
        .iter()
        .map(|entity| Meant {
            kind: entity.kind,
            fields: fields(entity, &declared, &names),
        })
        .collect()
}

fn fields(
    entity: &DeclaredEntity,
    declared: &[DeclaredEntity],
    names: &BTreeMap<(Kind, String), String>,
) -> Map<String, Value> {
    let mut fields = entity.body.map();
    // A password is written plain and dumped as its hash.
    fields.retain(|field, value| !value.is_null() && !matches!(field.as_str(), "id" | "password"));
    for key in &entity.kind.schema().foreign_keys {
        let Some(referenced) = key.kind else { continue };
        let parent = entity.parent.map(|parent| &declared[parent]);
        let text = match (
            parent.filter(|parent| parent.kind == referenced),
            fields.get(key.field),
        ) {
            (Some(parent), _) => Some(name(parent)),
            (None, Some(Value::Object(reference))) => {
                reference.values().find_map(Value::as_str).map(str::to_owned)
            }
            (None, Some(Value::String(text))) => Some(text.clone()),
            (None, _) => None,
        };
        if let Some(text) = text {
            let named = names.get(&(referenced, text.clone())).cloned();
            fields.insert(key.field.to_owned(), Value::from(named.unwrap_or(text)));
        }
    }
    fields
}

/// What people call an entity: by its name, else its id.
fn name(entity: &DeclaredEntity) -> String {
    let fields = ["name", "username", "custom_id", "id"];
    let body = entity.body.map();
    let mut found = fields
        .iter()
        .filter_map(|field| body.get(*field).and_then(Value::as_str));
    found.next().unwrap_or(&entity.path).to_owned()
}

fn contains(kind: Kind, whole: &Map<String, Value>, part: &Map<String, Value>) -> bool {
    part.iter().all(|(field, value)| {
        // decK sorts tags and the lists of plugins' configs.
        let unordered = field == "tags" || kind.name() == "plugins";
        whole
            .get(field)
            .is_some_and(|other| value_contains(other, value, unordered))
    })
}

fn value_contains(whole: &Value, part: &Value, unordered: bool) -> bool {
    match (whole, part) {
        (Value::Object(all), Value::Object(fields)) => fields.iter().all(|(name, value)| {
            value.is_null()
                || all
                    .get(name)
                    .is_some_and(|other| value_contains(other, value, unordered))
        }),
        (Value::Array(all), Value::Array(items)) if unordered => {
            all.len() == items.len()
                && items
                    .iter()
                    .all(|item| all.iter().any(|other| value_contains(other, item, true)))
        }
        (Value::Array(all), Value::Array(items)) => {
            all.len() == items.len()
                && all
                    .iter()
                    .zip(items)
                    .all(|(other, item)| value_contains(other, item, false))
        }
        (Value::String(text), Value::String(other)) => text.trim_end() == other.trim_end(),
        (Value::Number(number), Value::Number(other)) => number.as_f64() == other.as_f64(),
        _ => whole == part,
    }
}
