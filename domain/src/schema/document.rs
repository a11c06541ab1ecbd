//! `GET /schemas/{entity}` and `GET /schemas/{plugins,vaults}/{name}`: the schema files as Kong's clients know them.

use serde_json::Value;

use super::catalogue::Kind;

/// `{fields, entity_checks}` of a kind.
pub fn document(kind: Kind) -> Value {
    kind.schema().document.clone()
}

/// `{fields, entity_checks}` of a kind's subschema, such as a plugin, or `None` if it isn't in the catalogue.
pub fn subschema_document(kind: Kind, name: &str) -> Option<Value> {
    let subschema = kind.schema().subschemas.get(name)?;
    Some(subschema.document.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_what_kong_shows_without_functions_and_our_marks() {
        let consumers = document(Kind::named("consumers").unwrap());
        assert_eq!(
            consumers["fields"][3],
            json!({"username": {"type": "string", "unique": true}})
        );
        assert_eq!(
            consumers.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["fields", "entity_checks"]
        );
        let services = document(Kind::named("services").unwrap());
        assert_eq!(
            services["fields"][6],
            json!({"host": {"type": "string", "required": true}})
        );
        assert_eq!(services["entity_checks"].as_array().unwrap().len(), 5);
    }

    #[test]
    fn a_plugins_document_has_its_own_fields_only() {
        let plugins = Kind::named("plugins").unwrap();
        let cors = subschema_document(plugins, "cors").unwrap();
        assert_eq!(
            cors["fields"][0],
            json!({"consumer": {"type": "foreign", "reference": "consumers", "eq": null}})
        );
        assert_eq!(cors["fields"].as_array().unwrap().len(), 3);
        assert_eq!(subschema_document(plugins, "nope"), None);
    }
}
