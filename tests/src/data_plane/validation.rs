//! How a data plane looks through a `config_table` before it applies any of it: one thing that it doesn't know refuses everything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::fields::{Fields, Knowledge, Rules};
use super::release::KongVersion;

/// What a node brings along to the validation.
#[derive(Clone, Debug)]
pub struct Validator {
    /// Its version.
    pub version: KongVersion,
    /// The plugins that are loaded.
    pub plugins: BTreeSet<String>,
    /// The filters that are loaded.
    pub filters: BTreeSet<String>,
    /// Whether `router_flavor` is `expressions`.
    pub expressions: bool,
    /// Names of entities that are refused in any case.
    pub dislikes: BTreeSet<String>,
}

impl Validator {
    /// Says what is wrong with a configuration, in the order it is found: the data plane's log names the first.
    pub fn check(&self, table: &Value) -> Vec<String> {
        let Some(table) = table.as_object() else {
            return vec!["the config_table isn't an object".to_owned()];
        };
        let mut findings = Vec::new();
        self.check_preamble(table, &mut findings);
        let mut collections = Vec::new();
        for (name, entities) in table {
            if is_preamble(name) || entities.is_null() {
                continue;
            }
            match (self.collection(name), entities.as_array()) {
                (None, _) => findings.push(format!("{name}: unknown field")),
                (Some(_), None) => findings.push(format!("{name}: expected an array")),
                (Some(fields), Some(entities)) => collections.push((name.as_str(), fields, entities)),
            }
        }
        let ids = identify(&collections, &mut findings);
        for (name, fields, entities) in collections {
            for (index, entity) in entities.iter().enumerate() {
                let place = format!("{name}[{}]", named(entity, index));
                self.check_entity(name, &place, fields, entity, &ids, &mut findings);
            }
        }
        findings
    }

    fn check_preamble(&self, table: &Map<String, Value>, findings: &mut Vec<String>) {
        let taken = ["1.1", "2.1", self.version.format_version()];
        match table.get("_format_version").and_then(Value::as_str) {
            Some(format) if taken.contains(&format) => {}
            other => findings.push(format!(
                "_format_version: expected one of {taken:?}, not {other:?}"
            )),
        }
        if table
            .get("_transform")
            .is_some_and(|transform| !transform.is_boolean())
        {
            findings.push("_transform: expected a boolean".to_owned());
        }
    }

    fn collection(&self, name: &str) -> Option<&'static Fields> {
        // Exported by nobody and unusable: refused for their sub-schemas, which a 2.8 data plane doesn't load.
        if name == "vaults_beta" {
            return None;
        }
        let fields = Knowledge::of(self.version).collections.get(name)?;
        let brought = fields
            .plugin
            .as_ref()
            .is_none_or(|plugin| self.plugins.contains(plugin));
        brought.then_some(fields)
    }

    fn check_entity(
        &self,
        collection: &str,
        place: &str,
        fields: &Fields,
        entity: &Value,
        ids: &Ids<'_>,
        findings: &mut Vec<String>,
    ) {
        let Some(entity) = entity.as_object() else {
            findings.push(format!("{place}: expected an object"));
            return;
        };
        if entity
            .get("name")
            .and_then(Value::as_str)
            .is_some_and(|name| self.dislikes.contains(name))
        {
            findings.push(format!("{place}: the router can't be built"));
        }
        for (name, value) in entity {
            let exempt = name == "updated_at" && !self.version.is_before(3, 3);
            let noted = matches!(name.as_str(), "_comment" | "_ignore");
            let lives = name == "ttl" && fields.ttl;
            let flavored = self.expressions
                && collection == "routes"
                && matches!(name.as_str(), "expression" | "priority");
            let shorthand = fields.shorthands.contains(name);
            // Looked through with the plugin's own fields; of vaults' no list is kept.
            let is_configuration = name == "config" && matches!(collection, "plugins" | "vaults");
            if value.is_null() || exempt || noted || lives || flavored || is_configuration {
                continue;
            }
            match fields.by_path.get(name) {
                Some(rules) => check_value(
                    fields,
                    name,
                    &format!("{place}.{name}"),
                    rules,
                    value,
                    Some(ids),
                    findings,
                ),
                None if shorthand => {}
                None => findings.push(format!("{place}.{name}: unknown field")),
            }
        }
        check_required(fields, "", place, entity, findings);
        match collection {
            "plugins" => self.check_plugin(place, entity, findings),
            "vaults" if entity.get("name") != Some(&Value::from("env")) => {
                findings.push(format!("{place}.name: expected an installed vault"));
            }
            "filter_chains" => self.check_filters(place, entity, findings),
            "routes" => self.check_paths(place, entity, findings),
            _ => {}
        }
    }

    fn check_plugin(&self, place: &str, plugin: &Map<String, Value>, findings: &mut Vec<String>) {
        let name = plugin.get("name").and_then(Value::as_str).unwrap_or_default();
        let known = Knowledge::of(self.version).plugins.get(name);
        let (Some(fields), true) = (known, self.plugins.contains(name)) else {
            // A plugin of somebody's own is loaded here without a list of its fields.
            if !self.plugins.contains(name) {
                findings.push(format!("{place}.name: plugin '{name}' not enabled; add it to the 'plugins' configuration property"));
            }
            return;
        };
        for (path, rules) in &fields.top {
            match plugin.get(path) {
                None | Some(Value::Null) => {}
                Some(_) if rules.eq => findings.push(format!("{place}.{path}: value must be null")),
                Some(value) => check_value(
                    fields,
                    path,
                    &format!("{place}.{path}"),
                    rules,
                    value,
                    None,
                    findings,
                ),
            }
        }
        if let Some(config) = plugin.get("config").and_then(Value::as_object) {
            check_record(fields, "", &format!("{place}.config ({name})"), config, findings);
        }
    }

    fn check_filters(&self, place: &str, chain: &Map<String, Value>, findings: &mut Vec<String>) {
        for filter in chain
            .get("filters")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let name = filter["name"].as_str().unwrap_or_default();
            if !self.filters.contains(name) {
                findings.push(format!("{place}.filters: no such filter: {name}"));
            }
        }
    }

    fn check_paths(&self, place: &str, route: &Map<String, Value>, findings: &mut Vec<String>) {
        for path in route.get("paths").and_then(Value::as_array).into_iter().flatten() {
            let path = path.as_str().unwrap_or_default();
            let begins = path.starts_with('/') || (path.starts_with("~/") && !self.version.is_before(3, 0));
            if !begins {
                findings.push(format!("{place}.paths: should start with: /, not {path}"));
            }
        }
    }
}

/// Which ids each collection has.
type Ids<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Collects the ids and finds what is there twice.
fn identify<'a>(collections: &[(&'a str, &Fields, &'a Vec<Value>)], findings: &mut Vec<String>) -> Ids<'a> {
    let mut ids = Ids::new();
    for &(name, _, entities) in collections {
        let known = ids.entry(name).or_default();
        let mut unique: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for entity in entities {
            match entity["id"].as_str() {
                Some(id) if Uuid::parse_str(id).is_err() => {
                    findings.push(format!("{name}.id: expected a valid UUID, not {id}"));
                }
                Some(id) if !known.insert(id) => {
                    findings.push(format!("{name}: uniqueness violation: primary key {id}"));
                }
                _ => {}
            }
            for &field in unique_fields(name) {
                let Some(value) = entity[field].as_str() else {
                    continue;
                };
                if !unique.entry(field).or_default().insert(value) {
                    findings.push(format!("{name}: uniqueness violation: {field} {value}"));
                }
            }
        }
    }
    ids
}

fn unique_fields(collection: &str) -> &'static [&'static str] {
    match collection {
        "services" | "routes" | "upstreams" | "snis" | "key_sets" | "keys" | "workspaces" => &["name"],
        "consumers" => &["username", "custom_id"],
        "keyauth_credentials" | "jwt_secrets" | "parameters" => &["key"],
        "basicauth_credentials" | "hmacauth_credentials" => &["username"],
        "oauth2_credentials" => &["client_id"],
        "vaults" => &["prefix"],
        "plugins" => &["instance_name"],
        "ca_certificates" => &["cert_digest"],
        _ => &[],
    }
}

fn is_preamble(name: &str) -> bool {
    matches!(name, "_format_version" | "_transform" | "_comment" | "_ignore")
}

fn named(entity: &Value, index: usize) -> String {
    let names = ["name", "username", "key", "id"];
    let name = names.iter().find_map(|name| entity[name].as_str());
    name.map_or_else(|| index.to_string(), str::to_owned)
}

/// Looks through a record whose fields are `path` and below.
fn check_record(
    fields: &Fields,
    path: &str,
    place: &str,
    record: &Map<String, Value>,
    findings: &mut Vec<String>,
) {
    for (name, value) in record {
        let (path, place) = (below(path, name), format!("{place}.{name}"));
        if value.is_null() {
            continue;
        }
        match fields.by_path.get(&path) {
            Some(rules) => check_value(fields, &path, &place, rules, value, None, findings),
            None if fields.shorthands.contains(&path) => {}
            None => findings.push(format!("{place}: unknown field")),
        }
    }
    check_required(fields, path, place, record, findings);
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Finds the fields directly under `path` that have to be set and aren't. An absent record is filled with its defaults.
fn check_required(
    fields: &Fields,
    path: &str,
    place: &str,
    record: &Map<String, Value>,
    findings: &mut Vec<String>,
) {
    for (known, rules) in &fields.by_path {
        let Some(name) = direct_child(known, path) else {
            continue;
        };
        let set = record.get(name).is_some_and(|value| !value.is_null());
        let filled = (rules.default || rules.kind == "record") && record.get(name).is_none();
        if rules.required && !set && !filled && name != "config" {
            findings.push(format!("{place}.{name}: required field missing"));
        }
    }
}

fn direct_child<'a>(known: &'a str, path: &str) -> Option<&'a str> {
    let rest = if path.is_empty() {
        known
    } else {
        known.strip_prefix(path)?.strip_prefix('.')?
    };
    (!rest.contains('.') && !rest.contains('[')).then_some(rest)
}

fn check_value(
    fields: &Fields,
    path: &str,
    place: &str,
    rules: &Rules,
    value: &Value,
    ids: Option<&Ids<'_>>,
    findings: &mut Vec<String>,
) {
    let one_of = |value: &Value, findings: &mut Vec<String>| {
        let among = rules.one_of.is_empty() || rules.one_of.contains(value);
        if !among {
            findings.push(format!(
                "{place}: expected one of: {:?}, not {value}",
                rules.one_of
            ));
        }
    };
    let expected = |what: &str, findings: &mut Vec<String>| {
        findings.push(format!("{place}: expected {what}, not {value}"));
    };
    match rules.kind.as_str() {
        "foreign" => check_reference(place, rules, value, ids, findings),
        "record" => match value {
            Value::Object(record) => check_record(fields, path, place, record, findings),
            // An empty record may come as an empty array.
            Value::Array(nothing) if nothing.is_empty() => {}
            _ => expected("a record", findings),
        },
        "array" | "set" => match value {
            Value::Array(elements) => {
                for element in elements {
                    one_of(element, findings);
                    if let (Value::Object(record), "record") = (element, rules.elements.as_str()) {
                        check_record(fields, &format!("{path}[]"), place, record, findings);
                    } else if !is_of_kind(&rules.elements, element) {
                        expected(&format!("elements of type {}", rules.elements), findings);
                    }
                }
            }
            Value::Object(nothing) if nothing.is_empty() => {}
            _ => expected("an array", findings),
        },
        kind => {
            if !is_of_kind(kind, value) {
                expected(&format!("a value of type {kind}"), findings);
            }
            one_of(value, findings);
            if let (Some((least, most)), Some(number)) = (rules.between, value.as_f64())
                && !(least..=most).contains(&number)
            {
                expected(&format!("a value between {least} and {most}"), findings);
            }
        }
    }
}

fn is_of_kind(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.is_string(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "map" => value.is_object() || value.as_array().is_some_and(Vec::is_empty),
        _ => true,
    }
}

fn check_reference(
    place: &str,
    rules: &Rules,
    value: &Value,
    ids: Option<&Ids<'_>>,
    findings: &mut Vec<String>,
) {
    let (Some(ids), Some(to)) = (ids, &rules.reference) else {
        return;
    };
    // The object is taken as well, at the price of a second validation.
    let Some(id) = value.as_str().or_else(|| value["id"].as_str()) else {
        findings.push(format!("{place}: expected a reference, not {value}"));
        return;
    };
    if !ids.get(to.as_str()).is_some_and(|known| known.contains(id)) {
        findings.push(format!("{place}: invalid reference: {to}: {id} (no such entity)"));
    }
}
