//! A difference for people: `+` what came to be, `~` what changed with each field before and after, `-` what is gone.

use serde_json::{Map, Value};

use super::terminal::{Style, paint};

/// The longest value that is shown whole, in characters.
const LONGEST: usize = 72;

/// Fields that change whenever anything does.
const NOISE: [&str; 2] = ["updated_at", "created_at"];

/// What people call an entity, by the first of these fields that it has.
const NAMES: [&str; 4] = ["name", "username", "target", "custom_id"];

/// Renders the changes of entities: objects with `kind`, `id`, `before` and `after`.
pub fn render(changes: &Value) -> String {
    let lines: Vec<String> = list(changes).iter().flat_map(entity).collect();
    lines.join("\n")
}

/// How many came to be, changed and went, in words.
pub fn summary(changes: &Value) -> String {
    let changes = list(changes);
    let count = |wanted: fn(&Value) -> bool| changes.iter().filter(|change| wanted(change)).count();
    let created = count(|change| change["before"].is_null());
    let deleted = count(|change| change["after"].is_null());
    let updated = changes.len() - created - deleted;
    format!("{created} created, {updated} updated, {deleted} deleted")
}

fn list(changes: &Value) -> &[Value] {
    changes.as_array().map_or(&[], Vec::as_slice)
}

fn entity(change: &Value) -> Vec<String> {
    let title = title(change);
    match (change["before"].as_object(), change["after"].as_object()) {
        (None, _) => vec![paint(&format!("+ {title}"), Style::Good)],
        (_, None) => vec![paint(&format!("- {title}"), Style::Bad)],
        (Some(before), Some(after)) => {
            let heading = paint(&format!("~ {title}"), Style::Notice);
            let mut lines = vec![heading];
            fields("", before, after, &mut lines);
            lines
        }
    }
}

fn title(change: &Value) -> String {
    let kind = change["kind"].as_str().unwrap_or("entity");
    let id = change["id"].as_str().unwrap_or_default();
    let bodies = [change, &change["after"], &change["before"]];
    let name = bodies
        .iter()
        .flat_map(|body| NAMES.iter().map(|field| &body[*field]))
        .find_map(Value::as_str);
    match name {
        Some(name) => format!("{kind} {name} ({id})"),
        None => format!("{kind} {id}"),
    }
}

/// One line per field that differs, objects field by field.
fn fields(place: &str, before: &Map<String, Value>, after: &Map<String, Value>, lines: &mut Vec<String>) {
    let names = before
        .keys()
        .chain(after.keys().filter(|name| !before.contains_key(*name)));
    for name in names.filter(|name| !NOISE.contains(&name.as_str())) {
        let missing = Value::Null;
        let old = before.get(name).unwrap_or(&missing);
        let new = after.get(name).unwrap_or(&missing);
        let path = format!("{place}{name}");
        match (old, new) {
            (old, new) if old == new => {}
            (Value::Object(old), Value::Object(new)) => fields(&format!("{path}."), old, new, lines),
            (old, new) => lines.push(format!("    {path}: {} → {}", short(old), short(new))),
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let begin: String = text.chars().take(LONGEST - 1).collect();
    format!("{begin}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_shows_each_field_before_and_after() {
        let changes = json!([
            {"kind": "services", "id": "1", "before": null, "after": {"name": "orders"}},
            {
                "kind": "plugins", "id": "2",
                "before": {"config": {"minute": 5, "hour": null}, "updated_at": 1},
                "after": {"config": {"minute": 9, "hour": null}, "updated_at": 2},
            },
            {"kind": "routes", "id": "3", "before": {"name": "all"}, "after": null},
        ]);
        assert_eq!(
            render(&changes),
            "+ services orders (1)\n~ plugins 2\n    config.minute: 5 → 9\n- routes all (3)"
        );
        assert_eq!(summary(&changes), "1 created, 1 updated, 1 deleted");
    }
}
