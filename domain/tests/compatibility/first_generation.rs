//! A configuration of today on Kong 2.8.

use domain::compatibility::{Incompatibility, RouterFlavor};
use serde_json::{Value, json};

use crate::given::{Given, effects, is_withheld};

#[test]
fn item_43_regular_expressions_have_no_tilde_and_plain_paths_that_look_like_one_are_flagged() {
    for (path, sent, effect) in [
        ("/plain-path_1.2~x/%2F", "/plain-path_1.2~x/%2F", None),
        ("~/a/[0-9]+$", "/a/[0-9]+$", None),
        ("~/a", "/a", None),
        ("/a(b)", r"/a\(b\)", Some("changed")),
        ("/a b.c", r"/a b\.c", Some("changed")),
        ("/a:b", "/a:b", Some("changed")),
    ] {
        let mut given = Given::default();
        let route = given.put("routes", json!({"paths": [path]}));
        assert_eq!(
            given.sent("routes", route, "2.8")["paths"],
            json!([sent]),
            "{path}"
        );
        assert_eq!(
            given.sent("routes", route, "3.0")["paths"],
            json!([path]),
            "{path}"
        );
        let written = given.written("routes", route, "2.8");
        let expected: Vec<_> = effect
            .map(|effect| (effect, "paths".to_owned()))
            .into_iter()
            .collect();
        assert_eq!(effects(&written), expected, "{path}");
    }
    let mut given = Given::default();
    let dotted = given.put("routes", json!({"paths": ["~/a.c"]}));
    assert!(is_withheld(
        &given.written("routes", dotted, "2.8"),
        Incompatibility::Configuration
    ));
}

#[test]
fn item_43_vaults_are_absent_and_what_looks_into_one_withholds() {
    let mut given = Given::default();
    let vault = given.put("vaults", json!({"name": "env", "prefix": "my-env"}));
    let written = given.written("vaults", vault, "2.8");
    assert_eq!(
        (written.text.as_ref(), effects(&written)),
        (None, vec![("entity_left_out", String::new())])
    );
    let session = given.put(
        "plugins",
        json!({"name": "session", "config": {"secret": "{vault://my-env/s}"}}),
    );
    given.sent("plugins", session, "3.0");
    assert!(is_withheld(
        &given.written("plugins", session, "2.8"),
        Incompatibility::Configuration
    ));
}

#[test]
fn headers_of_http_log_are_lists_of_values() {
    let mut given = Given::default();
    let log =
        json!({"name": "http-log", "config": {"http_endpoint": "http://l.test/", "headers": {"x-a": "1"}}});
    let log = given.put("plugins", log);
    assert_eq!(
        given.sent("plugins", log, "2.8")["config"]["headers"],
        json!({"x-a": ["1"]})
    );
    assert_eq!(
        given.sent("plugins", log, "3.0")["config"]["headers"],
        json!({"x-a": "1"})
    );
}

#[test]
fn metrics_of_statsd_that_2_8_doesnt_have_are_left_out_and_named() {
    let mut given = Given::default();
    let statsd = given.put("plugins", json!({"name": "statsd", "config": {}}));
    let names = |release: &str| -> Vec<Value> {
        let metrics = given.sent("plugins", statsd, release)["config"]["metrics"].clone();
        let metrics = metrics.as_array().expect("metrics").iter();
        metrics.map(|metric| metric["name"].clone()).collect()
    };
    assert_eq!((names("3.0").len(), names("2.8").len()), (13, 10));
    assert!(!names("2.8").contains(&json!("shdict_usage")));
    let written = given.written("plugins", statsd, "2.8");
    assert_eq!(
        effects(&written),
        [("field_left_out", "config.metrics".to_owned())]
    );
    assert!(written.findings[0].message.contains("shdict_usage"));
}

#[test]
fn the_policy_of_rate_limiting_is_always_said() {
    let mut given = Given::default();
    let limits = given.put(
        "plugins",
        json!({"name": "rate-limiting", "config": {"minute": 1}}),
    );
    assert_eq!(given.sent("plugins", limits, "2.8")["config"]["policy"], "local");
}

#[test]
fn settings_that_2_8_doesnt_have_are_left_out_and_named() {
    let statsd = json!({"name": "statsd", "config": {"use_tcp": true, "udp_packet_size": 9, "metrics": [
        {"name": "request_count", "stat_type": "counter", "sample_rate": 1, "service_identifier": "service_id"}]}});
    for (body, expected) in [
        (
            statsd,
            vec![
                "config.metrics.service_identifier",
                "config.udp_packet_size",
                "config.use_tcp",
            ],
        ),
        (
            json!({"name": "prometheus", "config": {"latency_metrics": true}}),
            vec!["config.latency_metrics"],
        ),
        (
            json!({"name": "zipkin", "config": {"http_endpoint": "http://z.test/", "connect_timeout": 7, "http_span_name": "method_path"}}),
            vec!["config.connect_timeout", "config.http_span_name"],
        ),
        (
            json!({"name": "acme", "config": {"account_email": "a@b.test", "storage": "kong", "allow_any_domain": true}}),
            vec!["config.allow_any_domain"],
        ),
    ] {
        let mut given = Given::default();
        let id = given.put("plugins", body.clone());
        let written = given.written("plugins", id, "2.8");
        let mut found = effects(&written);
        found.sort();
        let expected: Vec<_> = expected
            .into_iter()
            .map(|field| ("field_left_out", field.to_owned()))
            .collect();
        assert_eq!(found, expected, "{body}");
        assert!(written.text.is_some());
    }
    let mut given = Given::default();
    let upstream = json!({"name": "u", "healthchecks": {"active": {"headers": {"x-a": ["1"]}}}});
    let upstream = given.put("upstreams", upstream);
    let written = given.written("upstreams", upstream, "2.8");
    assert_eq!(
        effects(&written),
        [("field_left_out", "healthchecks.active.headers".to_owned())]
    );
}

#[test]
fn plugins_of_2_8_report_versions_of_their_own_and_those_of_3_x_kongs() {
    let mut given = Given::default();
    let plugin = given.put("plugins", json!({"name": "key-auth", "config": {}}));
    for (release, reported, fits) in [
        ("2.8", "2.4.0", true),
        ("3.4", "3.4.3.12", true),
        ("3.4", "4.0.0", false),
        ("3.4", "3.11.0", false),
        ("3.4", "odd", false),
    ] {
        let mut level = given.level(release);
        std::sync::Arc::make_mut(&mut level.plugins).insert("key-auth".to_owned(), Some(reported.to_owned()));
        let written = given.written_at("plugins", plugin, &level);
        assert_eq!(written.text.is_some(), fits, "{release} {reported}");
        assert_eq!(
            is_withheld(&written, Incompatibility::PluginVersion),
            !fits,
            "{release} {reported}"
        );
    }
}

#[test]
fn routers_take_expressions_or_wildcards_only_since_3_7() {
    let mut given = Given::default();
    let route = given.put("routes", json!({"paths": ["/a"]}));
    let wildcard = given.put("routes", json!({"protocols": ["https"], "snis": ["*.a.test"]}));
    use RouterFlavor::{Expressions, Traditional, TraditionalCompatible};
    for (release, router, takes_route, takes_wildcard) in [
        ("3.10", Expressions, true, true),
        ("3.7", Expressions, true, true),
        ("3.6", Expressions, false, false),
        ("3.7", TraditionalCompatible, true, true),
        ("3.6", TraditionalCompatible, true, false),
        ("3.10", Traditional, true, false),
        ("2.8", Traditional, true, false),
    ] {
        let mut level = given.level(release);
        level.router = router;
        let taken = |id| given.written_at("routes", id, &level).text.is_some();
        assert_eq!(
            (taken(route), taken(wildcard)),
            (takes_route, takes_wildcard),
            "{release} {router:?}"
        );
    }
}
