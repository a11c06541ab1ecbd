//! What a release accepts, checked by its field list alone: a second reading of it, apart from the one under test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use domain::compatibility::Release;
use serde_json::{Map, Value};

type Line = Map<String, Value>;

/// Lines by owner and path.
static LINES: LazyLock<BTreeMap<String, BTreeMap<String, Vec<Line>>>> = LazyLock::new(|| {
    let mut lines: BTreeMap<String, BTreeMap<String, Vec<Line>>> = BTreeMap::new();
    for line in include_str!("../../schemas/versions/fields.jsonl").lines() {
        let line: Line = serde_json::from_str(line).expect("a JSON object");
        let text = |name: &str| line[name].as_str().expect("a text").to_owned();
        let path = text("path").replace("[]", "").replace(".*", "");
        lines
            .entry(text("owner"))
            .or_default()
            .entry(path)
            .or_default()
            .push(line);
    }
    lines
});

fn line(owner: &str, path: &str, release: Release) -> Option<&'static Line> {
    let lines = LINES.get(owner)?.get(path)?;
    let bound = |line: &Line, name: &str| line.get(name).and_then(Value::as_str).and_then(Release::named);
    lines.iter().find(|line| {
        bound(line, "from").is_none_or(|from| from <= release)
            && bound(line, "until").is_none_or(|until| release < until)
    })
}

/// A plugin's own line, or what holds for all plugins.
fn definition(plugin: Option<&str>, kind: &str, path: &str, release: Release) -> Option<&'static Line> {
    let own = plugin.and_then(|plugin| line(&format!("plugins/{plugin}"), path, release));
    own.or_else(|| line(kind, path, release))
}

/// What the release would refuse about an entity as it was sent.
pub(crate) fn refusals(kind: &str, sent: &Line, release: Release) -> Vec<String> {
    let plugin = (kind == "plugins").then(|| sent["name"].as_str().expect("a plugin's name"));
    let mut refusals = Vec::new();
    let mut sent = sent.clone();
    if line(kind, "", release).is_some_and(|line| line.contains_key("ttl")) {
        sent.remove("ttl");
    }
    let validator = Validator {
        plugin,
        kind,
        release,
    };
    validator.record("", &sent, &mut refusals);
    refusals
}

struct Validator<'v> {
    plugin: Option<&'v str>,
    kind: &'v str,
    release: Release,
}

impl Validator<'_> {
    fn definition(&self, path: &str) -> Option<&'static Line> {
        definition(self.plugin, self.kind, path, self.release)
    }

    /// Names of the fields directly below a path.
    fn below(&self, path: &str) -> BTreeSet<String> {
        let own = self.plugin.map(|plugin| format!("plugins/{plugin}"));
        let owners = [Some(self.kind.to_owned()), own];
        let mut names = BTreeSet::new();
        let paths = owners
            .iter()
            .flatten()
            .filter_map(|owner| LINES.get(owner))
            .flat_map(BTreeMap::keys);
        for below in paths {
            let rest = match path {
                "" => Some(below.as_str()),
                path => below.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')),
            };
            if let Some(name) = rest.filter(|rest| !rest.is_empty() && !rest.contains('.'))
                && self.definition(below).is_some()
            {
                names.insert(name.to_owned());
            }
        }
        names
    }

    fn record(&self, at: &str, members: &Line, refusals: &mut Vec<String>) {
        let path = |name: &str| {
            if at.is_empty() {
                name.to_owned()
            } else {
                format!("{at}.{name}")
            }
        };
        for (name, value) in members {
            match self.definition(&path(name)) {
                None => refusals.push(format!("{}: unknown field", path(name))),
                Some(definition) => self.value(&path(name), value, definition, refusals),
            }
        }
        for name in self.below(at) {
            let definition = self.definition(&path(&name)).expect("a field");
            let demanded = definition.contains_key("required") && !definition.contains_key("default");
            if demanded && definition["type"] != "record" && !members.contains_key(&name) {
                refusals.push(format!("{}: required field missing", path(&name)));
            }
        }
    }

    fn value(&self, at: &str, value: &Value, definition: &Line, refusals: &mut Vec<String>) {
        let kind = definition["type"].as_str().expect("a type");
        if value.is_null() {
            if definition.contains_key("required") || !definition.contains_key("default") {
                refusals.push(format!("{at}: a null that says nothing"));
            }
            return;
        }
        let fits = match kind {
            "string" | "foreign" => value.is_string(),
            "number" => value.is_number(),
            "integer" => value.is_i64() || value.as_f64().is_some_and(|number| number == number.trunc()),
            "boolean" => value.is_boolean(),
            "array" | "set" => value.is_array(),
            "map" | "record" => value.is_object(),
            _ => true,
        };
        if !fits || definition.contains_key("only_null") {
            refusals.push(format!("{at}: expected {kind}, not {value}"));
        }
        if let Some(Value::Array(choices)) = definition.get("one_of") {
            let chosen = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            for chosen in chosen.iter().filter(|chosen| !choices.contains(chosen)) {
                refusals.push(format!("{at}: {chosen} isn't one of {choices:?}"));
            }
        }
        if let Some(Value::Array(range)) = definition.get("between") {
            let number = value.as_f64().expect("a number");
            if !(range[0].as_f64() <= Some(number) && Some(number) <= range[1].as_f64()) {
                refusals.push(format!("{at}: {value} isn't between {range:?}"));
            }
        }
        if self.below(at).is_empty() {
            return;
        }
        match value {
            Value::Object(members) if kind == "map" => {
                for member in members.values().filter_map(Value::as_object) {
                    self.record(at, member, refusals);
                }
            }
            Value::Object(members) => self.record(at, members, refusals),
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_object) {
                    self.record(at, item, refusals);
                }
            }
            _ => {}
        }
    }
}
