//! `GET /schemas/{entity}` and `GET /schemas/plugins/{name}`: the schema files as Kong's clients know them.

use serde_json::Value;

use super::catalogue::Kind;
use super::embedded::PLUGIN_KIND;

/// `{fields, entity_checks}` of a kind.
pub fn document(kind: Kind) -> Value {
    kind.schema().document.clone()
}

/// `{fields, entity_checks}` of a plugin, or `None` if it isn't in the catalogue.
pub fn plugin_document(name: &str) -> Option<Value> {
    let subschema = Kind::named(PLUGIN_KIND)?.schema().subschemas.get(name)?;
    Some(subschema.document.clone())
}
