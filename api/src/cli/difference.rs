//! A difference for people: `+` what came to be, `~` what changed with each field before and after, `-` what is gone.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

use super::terminal::{Style, paint};
use crate::foreign_text::visible_value;

/// The longest value that is shown whole, in characters.
const LONGEST: usize = 72;

/// Fields that change whenever anything does.
const NOISE: [&str; 2] = ["updated_at", "created_at"];

/// What people call an entity, by the first of these fields that it has.
const NAMES: [&str; 4] = ["name", "username", "target", "custom_id"];

/// What became of entities: the lines about them, and how many they are. It is read from the list of changes in an answer, objects with
/// `kind`, `id`, `before`, `after` and the `fields` that changed; of a long one only what is printed is kept.
#[derive(Debug, Default)]
pub struct Difference {
    lines: Vec<String>,
    created: usize,
    updated: usize,
    deleted: usize,
}

impl Difference {
    /// Whether nothing came to be, changed or went.
    pub const fn is_none(&self) -> bool {
        self.created + self.updated + self.deleted == 0
    }

    /// A few lines for each entity.
    pub fn render(&self) -> String {
        self.lines.join("\n")
    }

    /// How many came to be, changed and went, in words.
    pub fn summary(&self) -> String {
        let Self {
            created,
            updated,
            deleted,
            ..
        } = self;
        format!("{created} created, {updated} updated, {deleted} deleted")
    }

    /// With what another part of the list says.
    pub fn append(&mut self, mut part: Self) {
        self.lines.append(&mut part.lines);
        self.created += part.created;
        self.updated += part.updated;
        self.deleted += part.deleted;
    }

    fn add(&mut self, change: &Value) {
        match (change["before"].is_null(), change["after"].is_null()) {
            (true, _) => self.created += 1,
            (false, true) => self.deleted += 1,
            (false, false) => self.updated += 1,
        }
        self.lines.extend(entity(change));
    }
}

impl<'de> Deserialize<'de> for Difference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Changes)
    }
}

/// A list of changes, one after another.
struct Changes;

impl<'de> Visitor<'de> for Changes {
    type Value = Difference;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of changes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut changes: A) -> Result<Difference, A::Error> {
        let mut difference = Difference::default();
        while let Some(change) = changes.next_element::<Value>()? {
            difference.add(&visible_value(&change));
        }
        Ok(difference)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
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
        let difference = Difference::deserialize(changes).unwrap();
        assert_eq!(difference.render(), expected.join("\n"));
        assert_eq!(difference.summary(), "1 created, 1 updated, 1 deleted");
    }
}
