//! The field lists are in order, and their list of today's release says what the schemas say.

use std::collections::{BTreeMap, BTreeSet};

use domain::compatibility::Release;
use domain::schema::{document, subschema_document};
use serde_json::{Map, Value};

use crate::given::kind_named;

type Line = Map<String, Value>;

/// The release that the schemas are of.
const TODAYS: &str = "3.9";

fn lines() -> Vec<Line> {
    let lines = include_str!("../../schemas/versions/fields.jsonl").lines();
    lines
        .map(|line| serde_json::from_str(line).expect("a JSON object"))
        .collect()
}

fn text<'l>(line: &'l Line, name: &str) -> &'l str {
    line[name].as_str().expect("a text")
}

/// The releases a line is about.
fn releases(line: &Line) -> Vec<Release> {
    let bound = |name: &str| {
        let name = line.get(name)?.as_str().expect("a release's name");
        Some(Release::named(name).unwrap_or_else(|| panic!("{name} is no release")))
    };
    let (from, until) = (bound("from"), bound("until"));
    Release::all()
        .filter(|release| {
            from.is_none_or(|from| from <= *release) && until.is_none_or(|until| *release < until)
        })
        .collect()
}

#[test]
fn a_field_is_one_thing_in_each_release_and_what_is_above_it_is_there_too() {
    let mut known: BTreeMap<(String, String), BTreeSet<Release>> = BTreeMap::new();
    for line in lines() {
        let (owner, path) = (text(&line, "owner").to_owned(), text(&line, "path").to_owned());
        let releases = releases(&line);
        assert!(!releases.is_empty(), "{line:?}");
        let place = known.entry((owner.clone(), path.clone())).or_default();
        for release in &releases {
            assert!(
                place.insert(*release),
                "{owner} {path} is twofold in {}",
                release.name()
            );
        }
        let Some((above, _)) = path.rsplit_once('.') else {
            continue;
        };
        let above = above.trim_end_matches(".*").trim_end_matches("[]").to_owned();
        let above = known
            .get(&(owner.clone(), above.clone()))
            .filter(|_| above != "config");
        let orphaned = above.and_then(|above| releases.iter().find(|release| !above.contains(release)));
        assert_eq!(
            orphaned.map(|release| release.name()),
            None,
            "{owner} {path}: nothing is above it"
        );
    }
}

/// The fields of a document as lines would have them: path and definition.
fn fields_of(above: &str, fields: &Value, found: &mut BTreeMap<String, Value>) {
    for (name, definition) in fields
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .flatten()
    {
        let path = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        fields_of(&path, &definition["fields"], found);
        let below = [("elements", format!("{path}[]")), ("values", format!("{path}.*"))];
        for (within, path) in below {
            if let Some(fields) = definition.get(within).and_then(|element| element.get("fields")) {
                fields_of(&path, fields, found);
            }
        }
        found.insert(path, definition.clone());
    }
}

/// What a line keeps of a definition.
fn kept(definition: &Value) -> Line {
    let mut line = Line::new();
    line.insert("type".to_owned(), definition["type"].clone());
    let elements = definition.get("elements");
    let one_of = definition.get("one_of").or_else(|| elements?.get("one_of"));
    let mut one_of = one_of.and_then(Value::as_array).cloned().unwrap_or_default();
    one_of.sort_by_key(Value::to_string);
    for (name, value) in [
        (
            "default",
            definition
                .get("default")
                .filter(|value| !value.is_null())
                .cloned(),
        ),
        ("between", definition.get("between").cloned()),
        (
            "one_of",
            Some(one_of.into()).filter(|choices: &Value| choices != &Value::Array(vec![])),
        ),
        (
            "required",
            definition
                .get("required")
                .filter(|value| *value == &Value::Bool(true) && definition["type"] != "record")
                .cloned(),
        ),
        (
            "only_null",
            definition
                .get("eq")
                .filter(|value| value.is_null())
                .map(|_| true.into()),
        ),
    ] {
        if let Some(value) = value {
            line.insert(name.to_owned(), value);
        }
    }
    line
}

#[test]
fn todays_list_says_what_the_schemas_say() {
    let todays = Release::named(TODAYS).expect("a release");
    let mut differences = Vec::new();
    let mut compared = 0;
    for line in lines()
        .into_iter()
        .filter(|line| releases(line).contains(&todays))
    {
        let (owner, path) = (text(&line, "owner"), text(&line, "path"));
        let document = match owner.split_once('/') {
            Some((kind, plugin)) => subschema_document(kind_named(kind), plugin).expect("a plugin"),
            None => document(kind_named(owner)),
        };
        let mut fields = BTreeMap::new();
        fields_of("", &document["fields"], &mut fields);
        let Some(definition) = fields.get(path) else {
            if !path.is_empty() {
                differences.push(format!("{owner} {path}: not in the schema"));
            }
            continue;
        };
        compared += 1;
        let expected = kept(definition);
        let mut listed = line.clone();
        if let Some(Value::Array(choices)) = listed.get_mut("one_of") {
            choices.sort_by_key(Value::to_string);
        }
        listed.retain(|name, _| {
            !matches!(
                name.as_str(),
                "owner" | "path" | "from" | "until" | "elements" | "plugin" | "ttl"
            )
        });
        if listed != expected {
            differences.push(format!("{owner} {path}: {listed:?} is {expected:?}"));
        }
    }
    assert_eq!(differences, [""; 0]);
    assert!(compared > 800, "only {compared}");
}
