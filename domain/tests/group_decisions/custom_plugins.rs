//! Plugins that somebody has written: their schemas are part of the configuration.

use domain::schema::PluginDefinition;
use domain::schema::evaluation::{self, Job, Outcome};
use serde_json::{Value, json};

use crate::given::{Given, names};

pub(crate) const HELLO: &str = r#"
local typedefs = require "kong.db.schema.typedefs"

return {
  name = "hello",
  fields = {
    { consumer = typedefs.no_consumer },
    { protocols = typedefs.protocols_http },
    { config = {
        type = "record",
        fields = {
          { greeting = { type = "string", required = true, default = "hi" } },
          { times = { type = "integer", between = { 1, 9 }, default = 1 } },
          { hosts = { type = "array", elements = typedefs.host } },
          { word = { type = "string", custom_validator = function(word)
              if word:match("^%l+$") then return true end
              return nil, "only small letters, not " .. word
            end } },
        },
        entity_checks = {
          { custom_entity_check = { field_sources = { "greeting", "times" }, fn = function(config)
              if config.greeting == "hi" and config.times > 5 then return nil, "too many greetings" end
              return true
            end } },
        },
    } },
  },
}
"#;

#[expect(
    clippy::disallowed_methods,
    reason = "the schemas of these tests are no stranger's"
)]
fn read(source: &str) -> Result<PluginDefinition, String> {
    let job = Job::Describe {
        source: source.into(),
    };
    let Outcome::Described(described) = evaluation::run(&job) else {
        panic!("a description was asked for");
    };
    PluginDefinition::checked(source, described?).map_err(|error| error.to_string())
}

pub(crate) fn schema_body(source: &str) -> Value {
    let definition = read(source).expect("a usable schema");
    json!({"name": definition.name, "lua_schema": source, "definition": definition.document})
}

#[test]
fn an_uploaded_schema_fills_and_checks_its_plugins_like_kongs_own() {
    let mut given = Given::default();
    let hello = |config: Value| json!({"name": "hello", "config": config});
    let unknown = given.post("plugins", hello(json!({}))).unwrap_err();
    assert_eq!(
        unknown.to_string(),
        "schema violation (name: plugin 'hello' not enabled; add it to the 'plugins' configuration property)"
    );
    given.post("plugin-schemas", schema_body(HELLO)).unwrap();
    for (config, refusal) in [
        (
            json!({"times": 10}),
            "config.times: value should be between 1 and 9",
        ),
        (
            json!({"hosts": ["a b"]}),
            "config.hosts: {\n  \"invalid value: a b\"\n}",
        ),
        (
            json!({"word": "Loud"}),
            "config.word: only small letters, not Loud",
        ),
        (
            json!({"times": 6}),
            "config.@entity: {\n  \"too many greetings\"\n}",
        ),
        (json!({"nope": 1}), "config.nope: unknown field"),
    ] {
        let refused = given.post("plugins", hello(config)).unwrap_err();
        assert_eq!(refused.to_string(), format!("schema violation ({refusal})"));
    }
    let created = given
        .post("plugins", hello(json!({"word": "quiet", "hosts": ["a.com"]})))
        .unwrap();
    let body = created.outcome.results[0].entity.as_ref().unwrap().map();
    assert_eq!(
        body["config"],
        json!({"greeting": "hi", "times": 1, "hosts": ["a.com"], "word": "quiet"})
    );
    assert_eq!(body["protocols"], json!(["grpc", "grpcs", "http", "https"]));
}

#[test]
fn a_new_version_of_a_schema_is_fitted_to_its_plugins_or_refused() {
    let mut given = Given::default();
    given.post("plugin-schemas", schema_body(HELLO)).unwrap();
    given
        .post("plugins", json!({"name": "hello", "config": {"times": 5}}))
        .unwrap();
    let stricter = HELLO.replace("{ 1, 9 }", "{ 1, 4 }");
    let refused = given
        .put("plugin-schemas", "hello", schema_body(&stricter))
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("config.times: value should be between 1 and 4"),
        "{refused}"
    );
    let longer = HELLO.replace(
        "{ greeting =",
        "{ polite = { type = \"boolean\", required = true, default = true } }, { greeting =",
    );
    let fitted = given
        .put("plugin-schemas", "hello", schema_body(&longer))
        .unwrap();
    assert_eq!(
        names(&fitted),
        [
            "updated plugin_schemas lua_schema,definition,updated_at",
            "updated plugins updated_at,config"
        ]
    );
    let refused = given.delete("plugin-schemas", "hello").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "an existing 'plugins' entity references this 'plugin_schemas' entity"
    );
}

#[test]
fn a_text_that_is_no_plugins_schema_is_refused_with_the_place() {
    for (source, why) in [
        ("return 1", "error converting Lua"),
        ("return {", "schema.lua:1:"),
        ("return { name = 'x' }", "/fields: must be a list"),
        (
            "return { name = 'cors', fields = {} }",
            "'cors' is a plugin that Kong brings along",
        ),
        ("return { name = 'X!', fields = {} }", "name: must be"),
        (
            "return { name = 'x', fields = { { config = { type = 'record', fields = { { a = { typ = 'string' } } } } } } }",
            "/config/a: unknown attribute 'typ'",
        ),
        (
            "return { name = 'x', fields = { { config = { type = 'record', fields = { { a = { type = 'text' } } } } } } }",
            "type Some(\"text\")",
        ),
        (
            "return { name = 'x', fields = { { nope = { type = 'string' } } } }",
            "nope isn't a field",
        ),
        ("local s = require 'socket' return {}", "can't be required here"),
        ("while true do end", "instructions"),
    ] {
        let refused = read(source).unwrap_err();
        assert!(refused.contains(why), "{source}: {refused}");
    }
}
