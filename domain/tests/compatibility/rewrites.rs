//! What older gateways spell otherwise, row by row: a configuration, a release before and one after, and what each is sent.

use domain::compatibility::Incompatibility;
use serde_json::{Value, json};

use crate::given::{Given, effects, is_withheld};

/// What is sent of an entity at these paths; null where it isn't sent.
fn sent_at(given: &Given, kind: &str, id: domain::EntityId, release: &str, paths: &Value) -> Value {
    let sent = Value::Object(given.sent(kind, id, release));
    let at = |path: &String| {
        let pointer = format!("/{}", path.replace('.', "/"));
        (path.clone(), sent.pointer(&pointer).cloned().unwrap_or_default())
    };
    paths.as_object().expect("paths").keys().map(at).collect()
}

/// A row: what is configured, and per release what is sent at which paths.
struct Row {
    kind: &'static str,
    body: Value,
    sent: Vec<(&'static str, Value)>,
}

fn plugin(name: &str, config: Value, sent: Vec<(&'static str, Value)>) -> Row {
    let body = json!({"name": name, "config": config});
    let kind = "plugins";
    Row { kind, body, sent }
}

fn check(rows: Vec<Row>) {
    for row in rows {
        let mut given = Given::default();
        let id = given.put(row.kind, row.body.clone());
        for (release, expected) in row.sent {
            let sent = sent_at(&given, row.kind, id, release, &expected);
            assert_eq!(sent, expected, "{} to {release}", row.body);
        }
    }
}

/// Settings of a language model that the plugins share.
fn model(provider: &str, options: Value) -> Value {
    json!({"provider": provider, "name": "m", "options": options})
}

fn ai_proxy(provider: &str, options: Value) -> Value {
    json!({"route_type": "llm/v1/chat", "model": model(provider, options),
        "auth": {"header_name": "authorization", "header_value": "k"}})
}

#[test]
fn before_3_9_models_of_hugging_face_are_reached_as_openais() {
    let huggingface = json!({"huggingface": {"use_cache": true}});
    let transformer = json!({"prompt": "p", "llm": {"route_type": "llm/v1/chat", "model": model("huggingface", huggingface.clone()),
        "auth": {"header_name": "authorization", "header_value": "k"}}});
    check(vec![
        plugin(
            "ai-proxy",
            ai_proxy("huggingface", huggingface),
            vec![
                (
                    "3.9",
                    json!({"config.model.provider": "huggingface", "config.route_type": "llm/v1/chat",
                    "config.model.options.huggingface.use_cache": true}),
                ),
                (
                    "3.8",
                    json!({"config.model.provider": "openai", "config.route_type": "preserve", "config.model.options.huggingface": null}),
                ),
                (
                    "3.7",
                    json!({"config.model.provider": "openai", "config.route_type": "preserve"}),
                ),
                (
                    "3.6",
                    json!({"config.model.provider": "openai", "config.route_type": "llm/v1/chat"}),
                ),
            ],
        ),
        plugin(
            "ai-request-transformer",
            transformer.clone(),
            vec![
                ("3.9.0", json!({"config.llm.model.provider": "huggingface"})),
                (
                    "3.8",
                    json!({"config.llm.model.provider": "openai", "config.llm.route_type": "llm/v1/chat"}),
                ),
            ],
        ),
        plugin(
            "ai-response-transformer",
            transformer,
            vec![(
                "3.8",
                json!({"config.llm.model.provider": "openai", "config.llm.model.options.huggingface": null}),
            )],
        ),
    ]);
}

#[test]
fn before_3_8_gemini_and_bedrock_are_reached_as_openai_and_mistral_by_its_address() {
    let gemini = json!({"gemini": {"api_endpoint": "a.test", "project_id": "p", "location_id": "l"}});
    check(vec![
        plugin(
            "ai-proxy",
            ai_proxy("gemini", gemini),
            vec![
                (
                    "3.8",
                    json!({"config.model.provider": "gemini", "config.model.options.gemini.project_id": "p"}),
                ),
                (
                    "3.7",
                    json!({"config.model.provider": "openai", "config.route_type": "preserve", "config.model.options.gemini": null}),
                ),
            ],
        ),
        plugin(
            "ai-proxy",
            ai_proxy("bedrock", json!({"bedrock": {"aws_region": "eu"}})),
            vec![(
                "3.6",
                json!({"config.model.provider": "openai", "config.route_type": "llm/v1/chat", "config.model.options.bedrock": null}),
            )],
        ),
        plugin(
            "ai-proxy",
            ai_proxy("mistral", json!({"mistral_format": "openai"})),
            vec![
                ("3.8", json!({"config.model.options.upstream_url": null})),
                (
                    "3.7",
                    json!({"config.model.options.upstream_url": "https://api.mistral.ai:443"}),
                ),
            ],
        ),
    ]);
}

#[test]
fn before_3_8_open_telemetry_has_one_endpoint_and_without_it_is_withheld() {
    check(vec![plugin(
        "opentelemetry",
        json!({"traces_endpoint": "http://t.test/v1"}),
        vec![
            (
                "3.8",
                json!({"config.traces_endpoint": "http://t.test/v1", "config.endpoint": null}),
            ),
            (
                "3.7",
                json!({"config.traces_endpoint": null, "config.endpoint": "http://t.test/v1"}),
            ),
            ("3.0", json!({"config.endpoint": "http://t.test/v1"})),
        ],
    )]);
    let mut given = Given::default();
    let logs = given.put(
        "plugins",
        json!({"name": "opentelemetry", "config": {"logs_endpoint": "http://t.test/v1"}}),
    );
    let written = given.written("plugins", logs, "3.7");
    assert!(is_withheld(&written, Incompatibility::Configuration));
    assert!(effects(&written).contains(&("configuration_incompatible", "config.endpoint".to_owned())));
    assert!(effects(&written).contains(&("field_left_out", "config.logs_endpoint".to_owned())));
}

#[test]
fn item_40_before_3_6_redis_is_described_by_fields_of_each_plugin_whatever_the_policy() {
    let redis = json!({"host": "r.test", "port": 7000, "username": "u", "password": "p", "database": 2, "timeout": 3,
        "server_name": "s.test"});
    let flat = json!({"config.redis": null, "config.redis_host": "r.test", "config.redis_port": 7000,
        "config.redis_username": "u", "config.redis_password": "p", "config.redis_database": 2, "config.redis_timeout": 3,
        "config.redis_server_name": "s.test", "config.redis_ssl": false});
    let storage = json!({"host": "r.test", "port": 7000, "password": "p", "database": 2, "ssl": true, "ssl_verify": true,
        "server_name": "s.test", "extra_options": {"namespace": "n", "scan_count": 11}});
    let mut rows = vec![plugin(
        "acme",
        json!({"account_email": "a@b.test", "storage": "redis", "storage_config": {"redis": storage}}),
        vec![
            (
                "3.6",
                json!({"config.storage_config.redis.server_name": "s.test", "config.storage_config.redis.extra_options.namespace": "n"}),
            ),
            (
                "3.5",
                json!({"config.storage_config.redis": {"host": "r.test", "port": 7000, "auth": "p", "database": 2, "ssl": true,
                "ssl_verify": true, "ssl_server_name": "s.test", "namespace": "n", "scan_count": 11}}),
            ),
            (
                "3.2",
                json!({"config.storage_config.redis": {"host": "r.test", "port": 7000, "auth": "p", "database": 2, "ssl": true,
                "ssl_verify": true, "ssl_server_name": "s.test"}}),
            ),
        ],
    )];
    for policy in ["local", "redis"] {
        let limits = json!({"minute": 1, "policy": policy, "redis": redis});
        let expected = vec![
            (
                "3.6",
                json!({"config.redis.host": "r.test", "config.redis_host": null, "config.policy": policy}),
            ),
            ("3.5", flat.clone()),
            ("3.4", flat.clone()),
        ];
        rows.push(plugin("rate-limiting", limits, expected.clone()));
        let limits = json!({"limits": {"a": {"minute": 1}}, "policy": policy, "redis": redis});
        rows.push(plugin("response-ratelimiting", limits, expected));
    }
    check(rows);
}

#[test]
fn before_3_5_and_3_4_trace_headers_of_gcp_and_aws_are_preserved() {
    let tracing = |header: &str| json!({"http_endpoint": "http://z.test/", "header_type": header, "default_header_type": header});
    let zipkin = |header: &str, default: &str| json!({"config.header_type": header, "config.default_header_type": default});
    check(vec![
        plugin(
            "zipkin",
            tracing("gcp"),
            vec![("3.5", zipkin("gcp", "gcp")), ("3.4", zipkin("preserve", "b3"))],
        ),
        plugin(
            "zipkin",
            tracing("aws"),
            vec![
                ("3.4", zipkin("aws", "aws")),
                ("3.3", zipkin("preserve", "b3")),
                ("2.8", zipkin("preserve", "b3")),
            ],
        ),
        plugin(
            "opentelemetry",
            json!({"traces_endpoint": "http://t.test/", "header_type": "gcp"}),
            vec![
                ("3.5", json!({"config.header_type": "gcp"})),
                ("3.4", json!({"config.header_type": "preserve"})),
                ("3.2", json!({"config.header_type": null})),
            ],
        ),
        plugin(
            "opentelemetry",
            json!({"traces_endpoint": "http://t.test/", "header_type": "aws"}),
            vec![
                ("3.4", json!({"config.header_type": "aws"})),
                ("3.3", json!({"config.header_type": "preserve"})),
            ],
        ),
    ]);
}

#[test]
fn before_3_3_queues_are_described_by_a_few_fields() {
    let queue = json!({"max_batch_size": 5, "max_coalescing_delay": 4});
    let parameters = |retries: Value, size: Value, delay: Value| json!({"config.queue": null, "config.retry_count": retries, "config.queue_size": size, "config.flush_timeout": delay});
    let mut rows = Vec::new();
    for name in ["statsd", "datadog"] {
        let expected = vec![
            (
                "3.3",
                json!({"config.queue.max_batch_size": 5, "config.retry_count": null}),
            ),
            ("3.2", parameters(json!(10), json!(5), json!(4))),
            ("3.1", parameters(json!(10), json!(5), json!(4))),
            ("3.0", parameters(json!(null), json!(null), json!(null))),
        ];
        rows.push(plugin(name, json!({"queue": queue}), expected));
    }
    let log = json!({"http_endpoint": "http://l.test/", "queue": queue});
    rows.push(plugin(
        "http-log",
        log,
        vec![("2.8", parameters(json!(10), json!(5), json!(4)))],
    ));
    let traces = json!({"traces_endpoint": "http://t.test/", "queue": queue});
    let batches = json!({"config.queue": null, "config.batch_span_count": 5, "config.batch_flush_delay": 4});
    rows.push(plugin("opentelemetry", traces, vec![("3.2", batches)]));
    let traces = json!({"traces_endpoint": "http://t.test/", "queue": {"max_batch_size": 5, "max_coalescing_delay": 0.5}});
    rows.push(plugin(
        "opentelemetry",
        traces,
        vec![("3.2", json!({"config.batch_flush_delay": 1}))],
    ));
    check(rows);
}

#[test]
fn before_3_3_prefixes_of_environment_variables_have_underscores() {
    check(vec![Row {
        kind: "vaults",
        body: json!({"name": "env", "prefix": "my-env", "config": {"prefix": "A-B-"}}),
        sent: vec![
            ("3.3", json!({"config.prefix": "A-B-", "prefix": "my-env"})),
            ("3.2", json!({"config.prefix": "A_B_", "prefix": "my-env"})),
        ],
    }]);
}

#[test]
fn item_44_when_it_was_changed_is_known_of_eight_kinds_only_since_3_3() {
    let mut given = Given::default();
    let consumer = given.put("consumers", json!({"username": "al"}));
    let upstream = given.put("upstreams", json!({"name": "u"}));
    let target = given.put(
        "targets",
        json!({"upstream": {"id": upstream}, "target": "10.0.0.1:80"}),
    );
    let plugin = given.put("plugins", json!({"name": "cors", "config": {}}));
    let service = given.put("services", json!({"host": "h"}));
    let late = [
        ("consumers", consumer),
        ("upstreams", upstream),
        ("targets", target),
        ("plugins", plugin),
    ];
    for (kind, id) in late {
        assert!(given.sent(kind, id, "3.3").contains_key("updated_at"), "{kind}");
        assert!(!given.sent(kind, id, "3.2").contains_key("updated_at"), "{kind}");
        assert_eq!(given.written(kind, id, "3.2").findings, [], "{kind}");
    }
    assert!(given.sent("services", service, "2.8").contains_key("updated_at"));
}

#[test]
fn before_3_2_sessions_and_balancing_have_other_names_and_values() {
    let session = json!({"idling_timeout": 1, "rolling_timeout": 2, "stale_ttl": 3, "cookie_same_site": "Default",
        "cookie_http_only": false, "remember": true});
    check(vec![
        plugin(
            "session",
            session,
            vec![
                (
                    "3.2",
                    json!({"config.idling_timeout": 1, "config.cookie_idletime": null, "config.cookie_same_site": "Default"}),
                ),
                (
                    "3.1",
                    json!({"config.idling_timeout": null, "config.cookie_idletime": 1, "config.cookie_lifetime": 2,
                    "config.cookie_discard": 3, "config.cookie_samesite": "Lax", "config.cookie_httponly": false,
                    "config.cookie_persistent": true}),
                ),
                (
                    "3.0",
                    json!({"config.cookie_idletime": 1, "config.cookie_persistent": null}),
                ),
            ],
        ),
        Row {
            kind: "upstreams",
            body: json!({"name": "u", "algorithm": "latency", "use_srv_name": true}),
            sent: vec![
                ("3.2", json!({"algorithm": "latency"})),
                ("3.1", json!({"algorithm": "round-robin", "use_srv_name": true})),
                ("3.0", json!({"algorithm": "round-robin", "use_srv_name": null})),
            ],
        },
    ]);
}

#[test]
fn before_3_2_services_by_tls_have_no_settings_and_those_that_protect_withhold() {
    let mut given = Given::default();
    let plain = given.put(
        "services",
        json!({"host": "h", "protocol": "tls", "tls_verify": false, "ca_certificates": []}),
    );
    assert_eq!(given.sent("services", plain, "3.1").get("tls_verify"), None);
    assert_eq!(given.written("services", plain, "3.1").findings, []);
    assert_eq!(given.sent("services", plain, "3.2")["tls_verify"], json!(false));
    let verified = given.put(
        "services",
        json!({"host": "h", "protocol": "tls", "tls_verify": true}),
    );
    let written = given.written("services", verified, "3.1");
    assert!(is_withheld(&written, Incompatibility::Configuration));
    assert_eq!(written.findings[0].field.as_deref(), Some("tls_verify"));
    let by_https = given.put(
        "services",
        json!({"host": "h", "protocol": "https", "tls_verify": true}),
    );
    assert_eq!(given.sent("services", by_https, "3.1")["tls_verify"], json!(true));
}
