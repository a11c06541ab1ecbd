//! Bodies in which everything is set that can be set: made from the schemas, one field after the other, with whatever value
//! the engine accepts there that isn't the default.

use domain::Timestamp;
use domain::schema::{
    CustomPlugins, Generator, Judge, Kind, Question, Secrets, Write, document, fill_and_validate,
    subschema_document,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::given::BEGINNING;

struct Fixed;

impl Judge for Fixed {
    fn judge(&mut self, question: Question) -> Result<(), String> {
        panic!("no plugin here has functions of its own: {}", question.place)
    }
}

impl Generator for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(BEGINNING * 1000 + 125)
    }

    fn uuid(&mut self) -> Uuid {
        Uuid::from_u128(1)
    }

    fn random_string(&mut self, length: usize) -> String {
        "a".repeat(length)
    }
}

/// What bodies are made of: a kind, for plugins a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    pub(crate) plugin: Option<&'static str>,
}

/// A field that isn't a record: its dotted path and its definition.
pub(crate) struct Leaf {
    pub(crate) path: String,
    definition: Value,
    /// What it holds if nobody sets it, as the schema says.
    pub(crate) default: Option<Value>,
}

impl Subject {
    /// Every kind that instances receive, every plugin.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for kind in Kind::all().filter(|kind| kind.schema().exported && kind.schema().configuration) {
            let plain = Self { kind, plugin: None };
            if kind.name() == "plugins" {
                let names = kind.schema().subschema_names();
                all.extend(names.map(|name| Self {
                    kind,
                    plugin: Some(name),
                }));
            } else if !kind.name().starts_with("consumer_group") && kind.name() != "filter_chains" {
                all.push(plain);
            }
        }
        all
    }

    pub(crate) fn name(self) -> &'static str {
        self.plugin.unwrap_or(self.kind.name())
    }

    /// Every field below which there are no others, except what is generated, what can't be set, and the switch that turns it
    /// off.
    pub(crate) fn leaves(self) -> Vec<Leaf> {
        let mut fields = document(self.kind)["fields"].clone();
        let mut leaves = Vec::new();
        if let Some(plugin) = self.plugin {
            let own = subschema_document(self.kind, plugin).expect("a plugin")["fields"].clone();
            for field in own.as_array().expect("fields") {
                leaves_below("", field, None, &mut leaves);
            }
            let name = |field: &Value| field.as_object().and_then(|field| field.keys().next()).cloned();
            let own: Vec<_> = own.as_array().expect("fields").iter().map(name).collect();
            fields
                .as_array_mut()
                .expect("fields")
                .retain(|field| !own.contains(&name(field)));
        }
        for field in fields.as_array().expect("fields") {
            leaves_below("", field, None, &mut leaves);
        }
        let is_apart = |path: &str| matches!(path, "id" | "name" | "created_at" | "updated_at" | "enabled");
        let is_settable = |leaf: &Leaf| {
            leaf.definition.get("eq") != Some(&Value::Null) && leaf.definition.get("transient").is_none()
        };
        leaves.retain(|leaf| is_settable(leaf));
        leaves.retain(|leaf| !is_apart(&leaf.path) || (leaf.path == "name" && self.plugin.is_none()));
        leaves
    }

    /// The stored form of a body, if the engine accepts it.
    pub(crate) fn stored(self, body: &Map<String, Value>) -> Option<Map<String, Value>> {
        let plugins = CustomPlugins::default();
        fill_and_validate(
            self.kind,
            &plugins,
            Write::Insert,
            body.clone(),
            Secrets::Plain,
            &mut Fixed,
        )
        .ok()
    }

    /// Bodies that together set every leaf that can be set, and every choice.
    pub(crate) fn bodies(self, leaves: &[Leaf]) -> Vec<Map<String, Value>> {
        let base = base(self);
        let mut full = base.clone();
        let mut alone = Vec::new();
        for leaf in leaves {
            let mut candidates = leaf.candidates(self).into_iter();
            let accepted = candidates
                .by_ref()
                .find_map(|candidate| self.with(&full, &leaf.path, candidate));
            let is_set = accepted.is_some();
            if let Some(accepted) = accepted {
                full = accepted;
            }
            let rest: Vec<Value> = match is_set {
                true => candidates
                    .filter(|_| leaf.definition.get("one_of").is_some())
                    .collect(),
                false => leaf.candidates(self),
            };
            for candidate in rest {
                if let Some(body) = self.with(&base, &leaf.path, candidate) {
                    alone.push(body);
                }
            }
        }
        alone.extend(together(self));
        alone.insert(0, full);
        alone
    }

    fn with(self, body: &Map<String, Value>, path: &str, value: Value) -> Option<Map<String, Value>> {
        let mut body = body.clone();
        set(&mut body, path, value);
        self.stored(&body).map(|_| body)
    }
}

/// Sets a field, making the records above it.
pub(crate) fn set(body: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(body.insert(path.to_owned(), value)),
        Some((name, rest)) => {
            let below = body.entry(name).or_insert_with(|| json!({}));
            if !below.is_object() {
                *below = json!({});
            }
            set(below.as_object_mut().expect("an object"), rest, value);
        }
    }
}

/// Takes a field away; whether it was there.
pub(crate) fn unset(body: &mut Map<String, Value>, path: &str) -> bool {
    match path.split_once('.') {
        None => body.remove(path).is_some(),
        Some((name, rest)) => match body.get_mut(name) {
            Some(Value::Object(below)) => unset(below, rest),
            // Within an array: all of it.
            Some(_) => body.remove(name).is_some(),
            None => false,
        },
    }
}

/// The leaves of a field; `filled` is what a record above it holds there by default.
fn leaves_below(above: &str, field: &Value, filled: Option<&Value>, leaves: &mut Vec<Leaf>) {
    for (name, definition) in field.as_object().expect("a field") {
        let path = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        let filled = filled.and_then(|record| record.get(name));
        match definition.get("fields").and_then(Value::as_array) {
            Some(below) => {
                let filled = filled.or_else(|| definition.get("default"));
                below
                    .iter()
                    .for_each(|field| leaves_below(&path, field, filled, leaves));
            }
            None => leaves.push(Leaf {
                path,
                default: filled.or_else(|| definition.get("default")).cloned(),
                definition: definition.clone(),
            }),
        }
    }
}

/// Texts of which some rule accepts one.
const TEXTS: [&str; 14] = [
    "text",
    "a.test",
    "http://a.test:80/x",
    "/a",
    "127.0.0.1",
    "10.0.0.0/8",
    "X-Name",
    "name:value",
    "return 1",
    "sub/type",
    "GET",
    "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a",
    "1.2",
    "a@b.test",
];

impl Leaf {
    fn candidates(&self, subject: Subject) -> Vec<Value> {
        let written = by_hand(subject, &self.path);
        let made = values(&self.definition);
        written
            .into_iter()
            .chain(made)
            .filter(|value| Some(value) != self.default.as_ref() && !value.is_null())
            .collect()
    }
}

fn values(definition: &Value) -> Vec<Value> {
    if let Some(Value::Array(choices)) = definition.get("one_of") {
        return choices.clone();
    }
    match definition["type"].as_str().unwrap_or_default() {
        "boolean" => vec![json!(true), json!(false)],
        "integer" | "number" => [7, 1, 0, 100, 2048, 301].map(Value::from).into(),
        "string" => TEXTS.map(Value::from).into(),
        "foreign" => vec![json!({"id": TEXTS[11]})],
        "array" | "set" => values(&definition["elements"])
            .into_iter()
            .map(|value| json!([value]))
            .collect(),
        "map" => {
            let values = values(&definition["values"]).into_iter();
            values.map(|value| json!({"x-name": value})).collect()
        }
        "record" => record(definition),
        _ => vec![],
    }
}

/// An element: with all its fields set, or each alone.
fn record(definition: &Value) -> Vec<Value> {
    let fields = definition["fields"].as_array().cloned().unwrap_or_default();
    let mut full = Map::new();
    let mut alone = Vec::new();
    for (name, definition) in fields.iter().filter_map(Value::as_object).flatten() {
        if let Some(value) = values(definition).into_iter().next() {
            full.insert(name.clone(), value.clone());
            alone.push(json!({name: value}));
        }
    }
    std::iter::once(Value::Object(full)).chain(alone).collect()
}

const CERTIFICATE: &str = include_str!("../../src/schema/rules/test_keys/ec.crt");
const KEY: &str = include_str!("../../src/schema/rules/test_keys/ec.pkcs8.key");
const OTHER_CERTIFICATE: &str = include_str!("../../src/schema/rules/test_keys/rsa.crt");
const OTHER_KEY: &str = include_str!("../../src/schema/rules/test_keys/rsa.pkcs8.key");
const PUBLIC_KEY: &str = include_str!("../../src/schema/rules/test_keys/rsa.pub");
const AUTHORITY: &str = include_str!("../group_decisions/certificates/authority.crt");

/// What no rule could make up.
fn by_hand(subject: Subject, path: &str) -> Vec<Value> {
    let tcp = json!({"ip": "10.0.0.1", "port": 80});
    let values = match (subject.name(), path) {
        ("certificates", "cert") => json!([CERTIFICATE]),
        ("certificates", "key") => json!([KEY]),
        ("routes", "paths") => json!([["/a", "~/b/[0-9]+$"]]),
        ("routes", "methods") => json!([["GET"]]),
        ("routes", "sources" | "destinations") => json!([[tcp]]),
        ("keys", "pem.public_key") => json!([PUBLIC_KEY]),
        ("keys", "pem.private_key") => json!([OTHER_KEY]),
        ("jwt_secrets", "rsa_public_key") => json!([PUBLIC_KEY]),
        ("acme", "config.storage_config.shm.shm_name") => json!(["kong_db_cache"]),
        ("statsd", "config.allow_status_codes") => json!([["200-299"]]),
        ("response-ratelimiting", "config.limits") => {
            json!([{"video": {"second": 1, "minute": 2, "hour": 3, "day": 4,
            "month": 5, "year": 6}}])
        }
        ("statsd", "config.metrics") => {
            json!([[{"name": "request_per_user", "stat_type": "counter", "sample_rate": 0.5,
            "consumer_identifier": "username", "service_identifier": "service_id", "workspace_identifier": "workspace_id"}]])
        }
        ("datadog", "config.metrics") => {
            json!([[{"name": "request_count", "stat_type": "counter", "sample_rate": 0.5,
            "tags": ["a:b"], "consumer_identifier": "username"}]])
        }
        ("cors", "config.origins") => json!([["https://a.test"]]),
        ("opentelemetry" | "zipkin", "config.sampling_rate" | "config.sample_ratio") => json!([0.5]),
        _ => json!([]),
    };
    values.as_array().cloned().unwrap_or_default()
}

/// Bodies with fields that are only accepted together.
fn together(subject: Subject) -> Vec<Map<String, Value>> {
    let propagation = json!({"propagation": {"extract": ["b3"], "clear": ["x-a"], "inject": ["w3c"], "default_format": "jaeger"}});
    let by_parameter = json!({"param_name": "n", "param_value": "v", "param_location": "query"});
    let gemini = json!({"provider": "gemini", "name": "m", "options": {"gemini": {"api_endpoint": "a.test", "project_id": "p",
        "location_id": "l"}}});
    let proxies = json!({"http_proxy_host": "p.test", "http_proxy_port": 1, "https_proxy_host": "q.test", "https_proxy_port": 2});
    let records = match subject.name() {
        "routes" => json!([{"protocols": ["tcp"], "paths": null, "sources": [{"ip": "10.0.0.1", "port": 80}],
            "destinations": [{"ip": "10.0.0.0/8"}, {"port": 81}]}]),
        "keys" => json!([{"pem": null, "jwk": "{\"kid\":\"k\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\
            \"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"}]),
        "acl" => json!([{"config": {"allow": null, "deny": ["g"]}}]),
        "request-termination" => json!([{"config": {"body": "b", "content_type": "text/plain"}}]),
        "aws-lambda" => json!([{"config": {"aws_key": "k", "aws_secret": "s"}}]),
        "opentelemetry" | "zipkin" => json!([{"config": propagation}]),
        "ai-proxy" => {
            json!([{"config": {"auth": by_parameter}}, {"config": {"model": gemini, "llm_format": "gemini"}}])
        }
        "ai-request-transformer" | "ai-response-transformer" => {
            json!([{"config": proxies}, {"config": {"llm": {"auth": by_parameter}}}, {"config": {"llm": {"model": gemini}}}])
        }
        _ => json!([]),
    };
    let with = |record: &Value| {
        let mut body = Value::Object(base(subject));
        merge(&mut body, record);
        body.as_object().expect("an object").clone()
    };
    records.as_array().expect("records").iter().map(with).collect()
}

fn merge(body: &mut Value, other: &Value) {
    match (body, other) {
        (Value::Object(members), Value::Object(others)) => {
            for (name, value) in others {
                merge(members.entry(name).or_insert(Value::Null), value);
            }
        }
        (body, other) => *body = other.clone(),
    }
}

/// The least that the engine accepts.
fn base(subject: Subject) -> Map<String, Value> {
    let owner = Uuid::from_u128(2);
    let consumer = json!({"id": owner});
    let config = match subject.plugin {
        None => json!(null),
        Some("acl") => json!({"allow": ["g"]}),
        Some("acme") => {
            json!({"account_email": "a@b.test", "storage": "redis", "storage_config": {"redis": {"host": "r.test"}}})
        }
        Some("ai-prompt-decorator") => json!({"prompts": {"prepend": [{"role": "user", "content": "c"}]}}),
        Some("ai-prompt-guard") => json!({"allow_patterns": ["a"]}),
        Some("ai-prompt-template") => json!({"templates": [{"name": "n", "template": "t"}]}),
        Some("ai-proxy") => json!({"route_type": "llm/v1/chat", "model": {"provider": "openai", "name": "m"},
            "auth": {"header_name": "a", "header_value": "k"}}),
        Some("ai-request-transformer" | "ai-response-transformer") => {
            json!({"prompt": "p", "llm": {"route_type": "llm/v1/chat",
            "model": {"provider": "openai", "name": "m"}, "auth": {"header_name": "a", "header_value": "k"}}})
        }
        Some("aws-lambda") => json!({"function_name": "f", "aws_region": "eu-central-1"}),
        Some("azure-functions") => json!({"functionname": "f", "appname": "a"}),
        Some("file-log") => json!({"path": "/tmp/log"}),
        Some("http-log" | "zipkin") => json!({"http_endpoint": "http://l.test/"}),
        Some("ip-restriction") => json!({"deny": ["10.0.0.0/8"]}),
        Some("ldap-auth") => json!({"ldap_host": "l.test", "base_dn": "dc=a", "attribute": "cn"}),
        Some("loggly") => json!({"key": "k"}),
        Some("oauth2") => json!({"enable_authorization_code": true, "scopes": ["a"]}),
        Some("opentelemetry") => json!({"traces_endpoint": "http://t.test/"}),
        Some("pre-function" | "post-function") => json!({"access": ["return 1"]}),
        Some("proxy-cache") => json!({"strategy": "memory"}),
        Some("rate-limiting") => json!({"minute": 1, "policy": "redis", "redis": {"host": "r.test"}}),
        Some("redirect") => json!({"location": "https://a.test"}),
        Some("response-ratelimiting") => {
            json!({"limits": {"video": {"minute": 1}}, "policy": "redis", "redis": {"host": "r.test"}})
        }
        Some("session") => json!({"secret": "s"}),
        Some("standard-webhooks") => json!({"secret_v1": "s"}),
        Some("tcp-log" | "udp-log") => json!({"host": "l.test", "port": 1}),
        Some("bot-detection") => json!({"deny": ["a"]}),
        Some(_) => json!({}),
    };
    let body = match subject.kind.name() {
        "plugins" => json!({"name": subject.plugin, "config": config}),
        "certificates" => {
            json!({"cert": CERTIFICATE, "key": KEY, "cert_alt": OTHER_CERTIFICATE, "key_alt": OTHER_KEY})
        }
        "snis" => json!({"name": "a.test", "certificate": {"id": owner}}),
        "ca_certificates" => json!({"cert": AUTHORITY}),
        "vaults" => json!({"name": "env", "prefix": "my-env"}),
        "key_sets" => json!({"name": "ks"}),
        "keys" => json!({"kid": "k", "pem": {"public_key": PUBLIC_KEY}}),
        "upstreams" => json!({"name": "u.test"}),
        "targets" => json!({"upstream": {"id": owner}, "target": "10.0.0.1:80"}),
        "services" => json!({"host": "h.test", "protocol": "https"}),
        "routes" => json!({"paths": ["/a"], "protocols": ["https"]}),
        "consumers" => json!({"username": "al"}),
        "keyauth_credentials" => json!({"consumer": consumer, "key": "k"}),
        "basicauth_credentials" => json!({"consumer": consumer, "username": "al", "password": "p"}),
        "hmacauth_credentials" => json!({"consumer": consumer, "username": "al"}),
        "jwt_secrets" => json!({"consumer": consumer, "rsa_public_key": PUBLIC_KEY}),
        "acls" => json!({"consumer": consumer, "group": "g"}),
        "oauth2_credentials" => json!({"consumer": consumer, "name": "n"}),
        other => panic!("{other} has no base"),
    };
    body.as_object().expect("an object").clone()
}
