//! A difference for people: `+` what came to be, `~` what changed with each field before and after, `-` what is gone.

use std::collections::HashSet;

use serde_json::Value;

use super::terminal::{Style, paint};

/// The longest value that is shown whole, in characters.
const LONGEST: usize = 72;

/// Fields that change whenever anything does.
const NOISE: [&str; 2] = ["updated_at", "created_at"];

/// What people call an entity, by the first of these fields that it has.
const NAMES: [&str; 4] = ["name", "username", "target", "custom_id"];

/// Renders the changes of entities: objects with `kind`, `id`, `before`, `after` and the `fields` that changed.
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
    match (change["before"].is_null(), change["after"].is_null()) {
        (true, _) => vec![paint(&format!("+ {title}"), Style::Good)],
        (_, true) => vec![paint(&format!("- {title}"), Style::Bad)],
        (false, false) => {
            let heading = paint(&format!("~ {title}"), Style::Notice);
            let fields = list(&change["fields"]).iter();
            let telling = fields.filter(|field| !NOISE.iter().any(|noise| field["path"] == *noise));
            std::iter::once(heading).chain(telling.map(field)).collect()
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

/// A field's line: a list by what came and went, anything else as it was and is.
fn field(field: &Value) -> String {
    let path = field["path"].as_str().unwrap_or_default();
    let (before, after) = (&field["before"], &field["after"]);
    let (old, new) = (
        |value| paint(&short(value), Style::Bad),
        |value| paint(&short(value), Style::Good),
    );
    if before == after {
        return format!("    {path}: changed, a secret");
    }
    if let (Value::Array(was), Value::Array(is)) = (before, after) {
        let (before, after): (HashSet<_>, HashSet<_>) = (was.iter().collect(), is.iter().collect());
        let gone = was.iter().filter(|item| !after.contains(item));
        let come = is.iter().filter(|item| !before.contains(item));
        let gone = gone.map(|item| paint(&format!("-{}", short(item)), Style::Bad));
        let come = come.map(|item| paint(&format!("+{}", short(item)), Style::Good));
        let items: Vec<_> = gone.chain(come).collect();
        if !items.is_empty() {
            return format!("    {path}: {}", items.join(" "));
        }
    }
    format!("    {path}: {} → {}", old(before), new(after))
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
                "kind": "plugins", "id": "2", "before": {}, "after": {},
                "fields": [
                    {"path": "config.minute", "before": 5, "after": 9},
                    {"path": "config.key", "before": "{redacted}", "after": "{redacted}"},
                    {"path": "tags", "before": ["a", "b"], "after": ["b", "c"]},
                    {"path": "order", "before": [1, 2], "after": [2, 1]},
                    {"path": "updated_at", "before": 1, "after": 2},
                ],
            },
            {"kind": "routes", "id": "3", "before": {"name": "all"}, "after": null},
        ]);
        let expected = [
            "+ services orders (1)",
            "~ plugins 2",
            "    config.minute: 5 → 9",
            "    config.key: changed, a secret",
            "    tags: -\"a\" +\"c\"",
            "    order: [1,2] → [2,1]",
            "- routes all (3)",
        ];
        assert_eq!(render(&changes), expected.join("\n"));
        assert_eq!(summary(&changes), "1 created, 1 updated, 1 deleted");
    }
}
