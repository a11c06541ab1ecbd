//! What older gateways don't know and nothing stands for: left out, or the whole configuration is withheld.

use domain::compatibility::Incompatibility;
use serde_json::json;

use crate::given::{Given, effects, is_withheld};

#[test]
fn item_41_ip_restriction_on_older_gateways_is_of_the_webs_protocols() {
    let mut given = Given::default();
    let filled = given.put(
        "plugins",
        json!({"name": "ip-restriction", "config": {"deny": ["10.0.0.0/8"]}}),
    );
    let web = json!(["http", "https", "grpc", "grpcs"]);
    for release in ["3.3", "3.1", "2.8"] {
        assert_eq!(
            given.sent("plugins", filled, release)["protocols"],
            web,
            "{release}"
        );
    }
    let expected = json!(["http", "https", "tcp", "tls", "grpc", "grpcs"]);
    assert_eq!(given.sent("plugins", filled, "3.4")["protocols"], expected);
    given.delete("plugins", filled);
    let asked_for =
        json!({"name": "ip-restriction", "protocols": ["tcp"], "config": {"deny": ["10.0.0.0/8"]}});
    let asked_for = given.put("plugins", asked_for);
    let written = given.written("plugins", asked_for, "3.3");
    assert!(
        is_withheld(&written, Incompatibility::Configuration),
        "{written:?}"
    );
}

#[test]
fn item_42_what_only_newer_gateways_have_is_left_out_or_withheld() {
    let mut given = Given::default();
    let cache =
        json!({"name": "proxy-cache", "config": {"strategy": "memory", "response_headers": {"age": false}}});
    let cache = given.put("plugins", cache);
    assert_eq!(
        given.sent("plugins", cache, "3.5")["config"]["response_headers"]["age"],
        json!(false)
    );
    let written = given.written("plugins", cache, "3.4");
    assert_eq!(
        given.sent("plugins", cache, "3.4")["config"].get("response_headers"),
        None
    );
    assert_eq!(
        effects(&written),
        [("field_left_out", "config.response_headers.age".to_owned())]
    );

    let consumer = given.put("consumers", json!({"username": "al"}));
    let secret =
        json!({"consumer": {"id": consumer}, "key": "k", "algorithm": "ES512", "rsa_public_key": "x"});
    let secret = given.put("jwt_secrets", secret);
    assert_eq!(given.sent("jwt_secrets", secret, "3.7")["algorithm"], "ES512");
    let written = given.written("jwt_secrets", secret, "3.6");
    assert!(is_withheld(&written, Incompatibility::Configuration));
    assert_eq!(written.findings[0].field.as_deref(), Some("algorithm"));

    let keys = given.put("key_sets", json!({"name": "ks"}));
    assert_eq!(given.sent("key_sets", keys, "3.1")["name"], "ks");
    assert_eq!(
        effects(&given.written("key_sets", keys, "3.0")),
        [("entity_left_out", String::new())]
    );
}

#[test]
fn values_that_older_gateways_dont_know_and_nothing_stands_for_withhold() {
    let traces = |header: &str| json!({"name": "zipkin", "config": {"http_endpoint": "http://z.test/", "header_type": header}});
    let log = json!({"name": "http-log", "config": {"http_endpoint": "http://l.test/", "content_type": "application/json; charset=utf-8"}});
    for (kind, body, fits, refused, field) in [
        ("plugins", traces("datadog"), "3.7", "3.6", "config.header_type"),
        ("plugins", log, "3.3", "3.2", "config.content_type"),
        (
            "upstreams",
            json!({"name": "u", "hash_on": "path"}),
            "3.0",
            "2.8",
            "hash_on",
        ),
        (
            "upstreams",
            json!({"name": "u", "hash_on": "ip", "hash_fallback": "query_arg", "hash_fallback_query_arg": "q"}),
            "3.0",
            "2.8",
            "hash_fallback",
        ),
    ] {
        let mut given = Given::default();
        let id = given.put(kind, body);
        given.sent(kind, id, fits);
        let written = given.written(kind, id, refused);
        assert!(is_withheld(&written, Incompatibility::Configuration), "{field}");
        let finding = written
            .findings
            .iter()
            .find(|finding| finding.field.as_deref() == Some(field));
        assert!(
            finding.is_some_and(|finding| finding.message.contains(refused)),
            "{:?}",
            written.findings
        );
    }
}

#[test]
fn plugins_that_a_release_doesnt_have_withhold() {
    let redirect = json!({"name": "redirect", "config": {"location": "https://a.test"}});
    let webhooks = json!({"name": "standard-webhooks", "config": {"secret_v1": "s"}});
    let ai = json!({"name": "ai-prompt-guard", "config": {"allow_patterns": ["a"]}});
    let traces = json!({"name": "opentelemetry", "config": {"traces_endpoint": "http://t.test/"}});
    for (body, has, lacks) in [
        (redirect, "3.9.0", "3.8"),
        (webhooks, "3.8", "3.7"),
        (ai, "3.6", "3.5"),
        (traces, "3.0", "2.8"),
    ] {
        let mut given = Given::default();
        let id = given.put("plugins", body.clone());
        given.sent("plugins", id, has);
        assert!(
            is_withheld(&given.written("plugins", id, lacks), Incompatibility::PluginSet),
            "{body}"
        );
    }
}

#[test]
fn before_3_2_open_telemetry_is_only_for_everything() {
    let mut given = Given::default();
    let service = given.put("services", json!({"host": "h"}));
    let plugin = json!({"name": "opentelemetry", "service": {"id": service}, "config": {"traces_endpoint": "http://t.test/"}});
    let plugin = given.put("plugins", plugin);
    given.sent("plugins", plugin, "3.2");
    let written = given.written("plugins", plugin, "3.1");
    assert!(is_withheld(&written, Incompatibility::Configuration));
    assert!(effects(&written).contains(&("configuration_incompatible", "service".to_owned())));
}

#[test]
fn fields_that_protect_withhold_where_they_arent_known_and_only_if_they_are_set() {
    let acl = |always: bool| json!({"name": "acl", "config": {"allow": ["g"], "always_use_authenticated_groups": always}});
    let mut given = Given::default();
    let id = given.put("plugins", acl(true));
    given.sent("plugins", id, "3.8");
    assert!(is_withheld(
        &given.written("plugins", id, "3.7"),
        Incompatibility::Configuration
    ));
    given.put_at("plugins", id, acl(false));
    assert_eq!(given.written("plugins", id, "3.7").findings, []);

    let limits = |ssl: bool| {
        json!({"name": "response-ratelimiting", "config": {"limits": {"a": {"minute": 1}}, "policy": "redis",
        "redis": {"host": "h", "ssl": ssl}}})
    };
    let id = given.put("plugins", limits(true));
    assert_eq!(
        given.sent("plugins", id, "3.1")["config"]["redis_ssl"],
        json!(true)
    );
    assert!(is_withheld(
        &given.written("plugins", id, "3.0"),
        Incompatibility::Configuration
    ));
    given.put_at("plugins", id, limits(false));
    assert_eq!(given.written("plugins", id, "3.0").findings, []);
}

#[test]
fn item_37_only_one_spelling_of_a_renamed_field_is_sent() {
    let mut given = Given::default();
    let limits =
        json!({"name": "rate-limiting", "config": {"minute": 1, "policy": "redis", "redis_host": "r.test"}});
    let limits = given.put("plugins", limits);
    let traces = given.put(
        "plugins",
        json!({"name": "opentelemetry", "config": {"endpoint": "http://t.test/"}}),
    );
    let session = given.put(
        "plugins",
        json!({"name": "session", "config": {"cookie_lifetime": 7}}),
    );
    for (id, release, sent, other) in [
        (limits, "3.10", "redis", "redis_host"),
        (limits, "3.6", "redis", "redis_host"),
        (limits, "3.5", "redis_host", "redis"),
        (traces, "3.8", "traces_endpoint", "endpoint"),
        (traces, "3.7", "endpoint", "traces_endpoint"),
        (session, "3.2", "rolling_timeout", "cookie_lifetime"),
        (session, "3.1", "cookie_lifetime", "rolling_timeout"),
    ] {
        let config = given.sent("plugins", id, release)["config"].clone();
        assert!(config.get(sent).is_some(), "{sent} {release}");
        assert_eq!(config.get(other), None, "{other} {release}");
    }
}

#[test]
fn before_3_8_hosted_language_models_need_a_credential_and_before_3_7_a_name() {
    let settings = |model: serde_json::Value, auth: serde_json::Value| json!({"route_type": "llm/v1/chat", "model": model, "auth": auth});
    let bedrock = json!({"provider": "bedrock", "name": "m", "options": {"bedrock": {"aws_region": "eu"}}});
    let keys = json!({"aws_access_key_id": "a", "aws_secret_access_key": "s"});
    let header = json!({"header_name": "authorization", "header_value": "k"});
    let mistral = json!({"provider": "mistral", "name": "m", "options": {"mistral_format": "openai"}});
    for (settings, newer, older, field) in [
        (settings(bedrock, keys), "3.8", "3.7", "auth.header_name"),
        (
            settings(json!({"provider": "openai", "name": "m"}), json!({})),
            "3.8",
            "3.7",
            "auth.header_name",
        ),
        (
            settings(json!({"provider": "openai"}), header),
            "3.7",
            "3.6",
            "model.name",
        ),
    ] {
        for (plugin, config, path) in [
            ("ai-proxy", settings.clone(), "config"),
            (
                "ai-request-transformer",
                json!({"prompt": "p", "llm": settings}),
                "config.llm",
            ),
        ] {
            let mut given = Given::default();
            let id = given.put("plugins", json!({"name": plugin, "config": config}));
            given.sent("plugins", id, newer);
            let written = given.written("plugins", id, older);
            let expected = ("configuration_incompatible", format!("{path}.{field}"));
            assert!(
                effects(&written).contains(&expected),
                "{plugin}: {:?}",
                written.findings
            );
            assert_eq!(written.text, None);
        }
    }
    let mut given = Given::default();
    let config = json!({"prompt": "p", "llm": settings(mistral, json!({}))});
    let id = given.put(
        "plugins",
        json!({"name": "ai-response-transformer", "config": config}),
    );
    let options = &given.sent("plugins", id, "3.7")["config"]["llm"]["model"]["options"];
    assert_eq!(options["upstream_url"], "https://api.mistral.ai:443");
}
