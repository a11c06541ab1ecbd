//! From schema files to the catalogue: names the rule functions in place, merges subschemas, compiles every field.

mod check;
mod field;
mod kind;
mod secrets;

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use serde_json::Value;

use super::catalogue::{Kind, KindSchema, Subschema};
use super::custom::LuaFunction;
use super::embedded;

/// Why a schema file can't be used: file, place and reason.
pub(super) type Fault = String;

/// Compiles the given files: (name, text) of every kind and of every plugin.
pub(super) fn catalogue(
    entities: &[(&'static str, &'static str)],
    plugins: &[(&'static str, &'static str)],
) -> Result<Vec<KindSchema>, Fault> {
    let names = Names {
        kinds: entities.iter().map(|(name, _)| *name).collect(),
        source: None,
    };
    let secrets = secrets::Secrets::embedded()?;
    let marked = |folder: &str, file: &(&'static str, &'static str)| {
        let mut document = read(file)?;
        secrets.mark(&format!("{folder}/{}", file.0), &mut document)?;
        Ok::<_, Fault>(document)
    };
    let plugins = plugins.iter().map(|file| marked("plugins", file));
    let plugins = plugins.collect::<Result<Vec<_>, _>>()?;
    entities
        .iter()
        .map(|file| {
            let document = marked("entities", file)?;
            kind::compile(document, &plugins, &names).map_err(|fault| format!("{}: {fault}", file.0))
        })
        .collect()
}

/// Compiles the schema of a plugin that isn't Kong's; its functions are in the Lua text it came from.
pub(super) fn custom_plugin(document: &Value, source: &Arc<str>) -> Result<Subschema, Fault> {
    static PARENT: LazyLock<Option<Value>> = LazyLock::new(|| {
        let file = embedded::ENTITIES
            .iter()
            .find(|(name, _)| *name == embedded::PLUGIN_KIND)?;
        read(file).ok()
    });
    let parent = PARENT.as_ref().ok_or("the catalogue has no plugins")?;
    let names = Names {
        kinds: embedded::ENTITIES.iter().map(|(name, _)| *name).collect(),
        source: Some(Arc::clone(source)),
    };
    kind::subschema(parent, document, &names)
}

/// What a document may refer to: kinds of the catalogue, in order, and functions of its own.
pub(super) struct Names {
    kinds: Vec<&'static str>,
    /// The Lua text that an uploaded schema came from.
    source: Option<Arc<str>>,
}

impl Names {
    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        let index = self.kinds.iter().position(|known| *known == name)?;
        u16::try_from(index).ok().map(Kind::at)
    }

    /// The function of an uploaded schema that an id stands for.
    fn function(&self, id: &str) -> Option<LuaFunction> {
        LuaFunction::of(id, self.source.as_ref()?)
    }
}

fn read((name, text): &(&'static str, &'static str)) -> Result<Value, Fault> {
    let mut document: Value = serde_json::from_str(text).map_err(|error| format!("{name}: {error}"))?;
    name_functions(&mut document).map_err(|fault| format!("{name}: {fault}"))?;
    if let Some(subschemas) = document.get_mut("subschemas").and_then(Value::as_object_mut) {
        for subschema in subschemas.values_mut() {
            name_functions(subschema).map_err(|fault| format!("{name}: {fault}"))?;
        }
    }
    Ok(document)
}

/// Puts each function's id at the place its pointer names (`…/custom_validator`, `…/fn`, `…/func`).
fn name_functions(document: &mut Value) -> Result<(), Fault> {
    let functions = document
        .as_object_mut()
        .and_then(|members| members.remove("functions"));
    for function in functions
        .iter()
        .flat_map(|list| list.as_array().into_iter().flatten())
    {
        let pointer = text(function, "pointer").ok_or("a function without pointer")?;
        let id = text(function, "id").ok_or("a function without id")?;
        let (place, attribute) = pointer.rsplit_once('/').ok_or("a pointer without '/'")?;
        let target = document
            .pointer_mut(place)
            .ok_or_else(|| format!("{pointer} points nowhere"))?;
        match target {
            Value::Object(members) => members.insert(attribute.to_owned(), Value::from(id)),
            _ => return Err(format!("{pointer} doesn't point into an object")),
        };
    }
    Ok(())
}

/// The catalogue lives as long as the program, and so do the names in it, each once: schemas that are uploaded again and again take
/// room for what is new in them only.
pub(super) fn keep(name: &str) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(name) = kept.get(name) {
        return name;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    kept.insert(name);
    name
}

fn text<'a>(object: &'a Value, member: &str) -> Option<&'a str> {
    object.get(member)?.as_str()
}

fn kept(object: &Value, member: &str) -> Option<&'static str> {
    text(object, member).map(keep)
}

fn flag(object: &Value, member: &str) -> bool {
    object.get(member) == Some(&Value::Bool(true))
}

fn list<'a>(object: &'a Value, member: &str) -> &'a [Value] {
    object
        .get(member)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The name and the definition of a one-key object, as `fields` and `shorthand_fields` list them.
fn named(entry: &Value) -> Result<(&str, &Value), Fault> {
    entry
        .as_object()
        .and_then(|members| members.iter().next())
        .map(|(name, definition)| (name.as_str(), definition))
        .ok_or_else(|| format!("{entry} isn't a one-key object"))
}

/// The raw definition of a dotted field, walked through records.
fn raw_field<'a>(record: &'a Value, path: &str) -> Result<&'a Value, Fault> {
    path.split('.').try_fold(record, |record, name| {
        list(record, "fields")
            .iter()
            .find_map(|entry| entry.get(name))
            .ok_or_else(|| format!("no field {path}"))
    })
}
