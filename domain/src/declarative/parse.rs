//! A decK file's document becomes a flat declaration.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::document::{Document, List};
use super::older_formats::mark_regular_expressions;
use super::{Declaration, DeclaredBody, DeclaredEntity, memberships};
use crate::Kind;
use crate::group::decide::CHANGE_LIMIT;
use crate::schema::{Secrets, ValueType};

/// How much of an entity's name stands beside its place, in characters.
const LONGEST_NAME: usize = 100;

/// Why a document isn't a declarative file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct DeclarationError {
    /// Where: `services[3].routes`.
    pub path: String,
    /// What is wrong and how to mend it.
    pub reason: String,
}

impl DeclarationError {
    fn at(path: &str, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
        }
    }
}

/// Reads a document. What it says about single fields is checked later, when it is applied to a group.
pub fn parse(document: impl Into<Document>) -> Result<Declaration, DeclarationError> {
    let Document { head, lists } = document.into();
    let Some(root) = &head else {
        return Err(DeclarationError::at(
            "the file",
            "must be a mapping with _format_version and entities",
        ));
    };
    let version = format_version(root.get("_format_version"))?;
    let info = root.get("_info").and_then(Value::as_object);
    let defaults = info
        .and_then(|info| info.get("defaults"))
        .and_then(Value::as_object);
    let mut reader = Reader {
        before_3: version != "3.0",
        defaults,
        secrets: secrets(root.get("_transform"))?,
        plugin_configs: plugin_configs(root.get("_plugin_configs"))?,
        entities: Vec::new(),
        size: 0,
    };
    root.keys().try_for_each(|key| check_known(key))?;
    for (key, list) in lists {
        let key = key.as_str();
        let kind = Kind::named(key).or_else(|| Kind::in_collection(&key.replace('_', "-")));
        let kind =
            kind.ok_or_else(|| DeclarationError::at(key, "isn't a kind of entity that this version knows"))?;
        if !kind.schema().configuration {
            return Err(DeclarationError::at(
                key,
                "isn't configuration: gateways keep it themselves",
            ));
        }
        if !kind.schema().exported {
            return Err(DeclarationError::at(
                key,
                "isn't written in files: upload it by itself",
            ));
        }
        let List::Items(items) = list else {
            return Err(DeclarationError::at(key, "must be a list"));
        };
        for (index, item) in items.into_iter().enumerate() {
            let item =
                serde_json::from_str(&item).map_err(|error| DeclarationError::at(key, error.to_string()))?;
            reader.entity(&format!("{key}[{index}]"), kind, item, None)?;
        }
    }
    let konnect = root.get("_konnect").and_then(Value::as_object);
    let group = konnect.and_then(|konnect| {
        konnect
            .get("control_plane_name")
            .or_else(|| konnect.get("runtime_group_name"))
    });
    Ok(Declaration {
        entities: in_dependency_order(reader.entities),
        select_tags: select_tags(info)?,
        group: group.and_then(Value::as_str).map(str::to_owned),
    })
}

fn format_version(version: Option<&Value>) -> Result<String, DeclarationError> {
    let text = match version {
        Some(Value::String(text)) => text.clone(),
        // Unquoted in YAML, 3.0 is a number.
        Some(Value::Number(number)) => number
            .as_f64()
            .map(|number| format!("{number:.1}"))
            .unwrap_or_default(),
        Some(_) => String::new(),
        None => {
            return Err(DeclarationError::at(
                "_format_version",
                "is missing: expected \"1.1\", \"2.1\" or \"3.0\"",
            ));
        }
    };
    match text.as_str() {
        "1.1" | "2.1" | "3.0" => Ok(text),
        other => Err(DeclarationError::at(
            "_format_version",
            format!("\"{other}\" is unknown: expected \"1.1\", \"2.1\" or \"3.0\""),
        )),
    }
}

fn check_known(key: &str) -> Result<(), DeclarationError> {
    const KNOWN: [&str; 9] = [
        "_format_version",
        "_info",
        "_konnect",
        "_transform",
        "_comment",
        "_ignore",
        "_workspace",
        "_plugin_configs",
        "_skip_consumers",
    ];
    match KNOWN.contains(&key) {
        true => Ok(()),
        false => Err(DeclarationError::at(key, "is unknown")),
    }
}

fn secrets(transform: Option<&Value>) -> Result<Secrets, DeclarationError> {
    match transform {
        None | Some(Value::Null | Value::Bool(true)) => Ok(Secrets::Plain),
        Some(Value::Bool(false)) => Ok(Secrets::Hashed),
        Some(_) => Err(DeclarationError::at("_transform", "must be true or false")),
    }
}

/// The configs that plugins share, by the name under which their `_config` refers to them.
fn plugin_configs(configs: Option<&Value>) -> Result<Option<&Map<String, Value>>, DeclarationError> {
    match configs {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(configs)) if configs.values().all(Value::is_object) => Ok(Some(configs)),
        Some(_) => Err(DeclarationError::at(
            "_plugin_configs",
            "must be a mapping of names to plugin configs",
        )),
    }
}

fn select_tags(info: Option<&Map<String, Value>>) -> Result<Vec<String>, DeclarationError> {
    let malformed = || DeclarationError::at("_info.select_tags", "must be a list of tags");
    match info.and_then(|info| info.get("select_tags")) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(tags)) => tags
            .iter()
            .map(|tag| tag.as_str().map(str::to_owned).ok_or_else(malformed))
            .collect(),
        Some(_) => Err(malformed()),
    }
}

struct Reader<'document> {
    /// Written for Kong before 3.0.
    before_3: bool,
    /// `_info.defaults`: fields of `service`, `route`, `upstream`, `target` that entities don't set themselves.
    defaults: Option<&'document Map<String, Value>>,
    secrets: Secrets,
    /// `_plugin_configs`: fields of `config` that plugins naming one in `_config` don't set themselves.
    plugin_configs: Option<&'document Map<String, Value>>,
    entities: Vec<DeclaredEntity>,
    /// Bytes of the entities' bodies so far.
    size: usize,
}

impl Reader<'_> {
    fn list(
        &mut self,
        path: &str,
        kind: Kind,
        value: Value,
        parent: Option<usize>,
    ) -> Result<(), DeclarationError> {
        match value {
            Value::Null => Ok(()),
            Value::Array(items) => items
                .into_iter()
                .enumerate()
                .try_for_each(|(index, item)| self.entity(&format!("{path}[{index}]"), kind, item, parent)),
            _ => Err(DeclarationError::at(path, "must be a list")),
        }
    }

    fn entity(
        &mut self,
        path: &str,
        kind: Kind,
        value: Value,
        parent: Option<usize>,
    ) -> Result<(), DeclarationError> {
        let fields = match (value, kind.schema().endpoint_key) {
            (Value::Object(fields), _) => fields,
            // A certificate's SNIs may be written as names alone.
            (Value::String(key), Some(field)) => Map::from_iter([(field.to_owned(), json!(key))]),
            _ => return Err(DeclarationError::at(path, "must be a mapping")),
        };
        let mut body = Map::new();
        let mut nested = Vec::new();
        let mut memberships = Vec::new();
        let mut shared = None;
        for (field, value) in fields {
            if let Some((membership, far)) = memberships::listed_in(kind, &field) {
                memberships.push((field, membership, far, value));
                continue;
            }
            match child_kind(kind, &field, &value) {
                Some(child) => nested.push((field, child, value)),
                None if field == "_config" => shared = Some(value),
                None if matches!(field.as_str(), "_comment" | "_ignore") => {}
                None => {
                    body.insert(field.clone(), reference(kind, &field, value));
                }
            }
        }
        self.fill_defaults(kind, &mut body);
        let shared = shared.filter(|shared| !shared.is_null() && kind.name() == "plugins");
        if let Some(shared) = shared {
            self.fill_config(path, &shared, &mut body)?;
        }
        if self.before_3 && kind.name() == "routes" {
            mark_regular_expressions(&mut body);
        }
        let position = self.entities.len();
        let name = named(path, kind, &body);
        let body = DeclaredBody::from(body);
        self.size += body.len();
        if self.size > CHANGE_LIMIT {
            let reason = format!(
                "with what its defaults and shared configs fill in, the file has more than {CHANGE_LIMIT} bytes: split it"
            );
            return Err(DeclarationError::at(path, reason));
        }
        self.entities.push(DeclaredEntity {
            path: name.into(),
            kind,
            body,
            parent,
            secrets: self.secrets,
            hashed: None,
        });
        nested.into_iter().try_for_each(|(field, child, value)| {
            self.list(&format!("{path}.{field}"), child, value, Some(position))
        })?;
        memberships
            .into_iter()
            .try_for_each(|(field, membership, far, value)| {
                let path = format!("{path}.{field}");
                let items = membership_items(&path, far, &value)?;
                self.list(&path, membership, items, Some(position))
            })
    }

    fn fill_defaults(&self, kind: Kind, body: &mut Map<String, Value>) {
        let singular = kind.name().strip_suffix('s').unwrap_or(kind.name());
        let defaults = self
            .defaults
            .and_then(|defaults| defaults.get(singular))
            .and_then(Value::as_object);
        for (field, value) in defaults.into_iter().flatten() {
            merge_absent(body, field, value);
        }
    }

    /// What the plugin's own config doesn't say comes from the shared one.
    fn fill_config(
        &self,
        path: &str,
        shared: &Value,
        body: &mut Map<String, Value>,
    ) -> Result<(), DeclarationError> {
        let configs = self.plugin_configs;
        let found = configs.and_then(|configs| configs.get(shared.as_str()?));
        let found = found.ok_or_else(|| {
            let reason = format!("{shared} isn't one of the file's _plugin_configs: add it there");
            DeclarationError::at(&format!("{path}._config"), reason)
        })?;
        if body.get("config").is_some_and(Value::is_null) {
            body.remove("config");
        }
        merge_absent(body, "config", found);
        Ok(())
    }
}

/// The memberships that a list of names stands for.
fn membership_items(path: &str, far: &str, value: &Value) -> Result<Value, DeclarationError> {
    let items = match value {
        Value::Null => &[][..],
        Value::Array(items) => items,
        _ => return Err(DeclarationError::at(path, "must be a list")),
    };
    let one = |(index, item): (usize, &Value)| {
        memberships::item(far, item).ok_or_else(|| {
            let reason = format!("must name a {far}: a name, or a mapping with name or id");
            DeclarationError::at(&format!("{path}[{index}]"), reason)
        })
    };
    items.iter().enumerate().map(one).collect()
}

fn merge_absent(body: &mut Map<String, Value>, field: &str, value: &Value) {
    match (body.get_mut(field), value) {
        (None, value) => {
            body.insert(field.to_owned(), value.clone());
        }
        (Some(Value::Object(present)), Value::Object(defaults)) => {
            defaults
                .iter()
                .for_each(|(field, value)| merge_absent(present, field, value));
        }
        _ => {}
    }
}

/// The kind of the children that a field lists, if it does: `routes` of a service, `keyauth_credentials` of a consumer.
fn child_kind(kind: Kind, field: &str, value: &Value) -> Option<Kind> {
    let refers = |child: &Kind| {
        child
            .schema()
            .foreign_keys
            .iter()
            .any(|key| key.kind == Some(kind))
    };
    let child = Kind::named(field)
        .filter(refers)
        .or_else(|| Kind::nested(kind, &field.replace('_', "-")))?;
    let own = kind.schema().record_for(&Map::new()).field(field);
    let is_list = matches!(value, Value::Array(_) | Value::Null);
    (is_list && own.is_none_or(|own| own.transient)).then_some(child)
}

/// A foreign value may be a plain id or name in a file.
fn reference(kind: Kind, field: &str, value: Value) -> Value {
    let (Some(own), Value::String(text)) = (kind.schema().record_for(&Map::new()).field(field), &value)
    else {
        return value;
    };
    let ValueType::Foreign(referenced) = &own.value_type else {
        return value;
    };
    match (
        Uuid::try_parse(text),
        Kind::named(referenced.name).and_then(|kind| kind.schema().endpoint_key),
    ) {
        (Err(_), Some(key)) => json!({ key: text }),
        _ => json!({ "id": text }),
    }
}

fn named(path: &str, kind: Kind, body: &Map<String, Value>) -> String {
    let fields = [
        kind.schema().endpoint_key,
        kind.schema().subschema_key,
        Some("id"),
    ];
    let name = fields
        .into_iter()
        .flatten()
        .filter_map(|field| body.get(field))
        .find_map(Value::as_str);
    // A credential's endpoint key is its secret.
    let name = name.filter(|_| !kind.schema().owned || kind.schema().foreign_keys.is_empty());
    let Some(name) = name else {
        return path.to_owned();
    };
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{path} ({}…)", &name[..end]),
        None => format!("{path} ({name})"),
    }
}

/// Entities in the order of their kinds, which puts what each may refer to before it; parents are re-numbered.
fn in_dependency_order(entities: Vec<DeclaredEntity>) -> Vec<DeclaredEntity> {
    let mut order: Vec<usize> = (0..entities.len()).collect();
    order.sort_by_key(|index| entities[*index].kind);
    let mut moved = vec![0; entities.len()];
    order
        .iter()
        .enumerate()
        .for_each(|(now, before)| moved[*before] = now);
    let mut slots: Vec<_> = entities.into_iter().map(Some).collect();
    let take = |index: usize| {
        let entity = slots[index].take()?;
        Some(DeclaredEntity {
            parent: entity.parent.map(|parent| moved[parent]),
            ..entity
        })
    };
    order.into_iter().filter_map(take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only_body(document: &Value) -> Map<String, Value> {
        parse(document).unwrap().entities.remove(0).body.map()
    }

    #[test]
    fn a_shared_config_fills_what_the_plugin_does_not_say() {
        let document = json!({
            "_format_version": "3.0",
            "_plugin_configs": { "limits": { "minute": 60, "policy": "local", "redis": { "port": 1, "host": "h" } } },
            "plugins": [{ "name": "rate-limiting", "_config": "limits", "config": { "minute": 5, "redis": { "port": 2 } } }],
        });
        let expected = json!({ "minute": 5, "policy": "local", "redis": { "port": 2, "host": "h" } });
        assert_eq!(only_body(&document)["config"], expected);
        assert!(!only_body(&document).contains_key("_config"));
    }

    #[test]
    fn a_shared_config_fills_no_more_than_a_change_may_hold() {
        let config = json!({ "header_name": "x".repeat(1 << 20) });
        let plugin = json!({ "name": "correlation-id", "_config": "long" });
        let document = json!({
            "_format_version": "3.0", "_plugin_configs": { "long": config }, "plugins": vec![plugin; 300],
        });
        let refused = parse(&document).unwrap_err();
        assert!(
            refused.reason.contains("defaults and shared configs"),
            "{refused}"
        );
    }

    #[test]
    fn a_shared_config_that_is_not_there_is_refused() {
        let document =
            json!({ "_format_version": "3.0", "plugins": [{ "name": "cors", "_config": "nope" }] });
        let refused = parse(&document).unwrap_err();
        assert_eq!(refused.path, "plugins[0]._config");
    }

    #[test]
    fn paths_are_taken_for_regular_expressions_by_the_rules_of_the_files_version() {
        let file = |version: &str| json!({ "_format_version": version, "routes": [{ "name": "r", "paths": ["/a", "/b\\d"] }] });
        let paths = |version| only_body(&file(version))["paths"].clone();
        assert_eq!(paths("1.1"), json!(["/a", "~/b\\d"]));
        assert_eq!(paths("2.1"), json!(["/a", "~/b\\d"]));
        assert_eq!(paths("3.0"), json!(["/a", "/b\\d"]));
    }
}
