//! What becomes of a configuration that arrives.

use serde_json::{Value, json};
use tests::data_plane::{DataPlane, KongVersion};

use crate::scripted_control_plane::{ScriptedControlPlane, accepted_table, gzip, reconfigure};

const HASH: &str = "f1a744cfbe05c342e2b0c945bcb96d0a";
const ZEROS: &str = "00000000000000000000000000000000";

#[tokio::test]
async fn an_accepted_configuration_is_pinged_at_once_and_skipped_when_it_comes_again() {
    let control_plane = ScriptedControlPlane::listen().await;
    let node = DataPlane::start(control_plane.node("3.9.1"));
    let (mut connection, hash) = control_plane.accept_session().await;
    assert_eq!(hash, ZEROS);
    connection.push(&accepted_table(), HASH).await;
    assert_eq!(connection.ping().await, HASH);
    connection.push(&accepted_table(), HASH).await;
    node.sees("has skipped it", |observed| (observed.skipped == 1).then_some(()))
        .await;
    assert_eq!(node.observed().applications, 1);
}

#[tokio::test]
async fn a_restarted_node_pings_the_hash_that_it_stored_except_2_8_which_computes_another() {
    let control_plane = ScriptedControlPlane::listen().await;
    for (version, remembers) in [("2.8.5", false), ("3.5.0", true), ("3.10.0", true)] {
        let mut node = DataPlane::start(control_plane.node(version));
        let (mut connection, _) = control_plane.accept_session().await;
        let mut table = accepted_table();
        if version == "2.8.5" {
            table["_format_version"] = json!("2.1");
        }
        connection.push(&table, HASH).await;
        node.applied().await;
        node.restart().await;
        assert!(
            node.observed().applied.is_some(),
            "{version} serves what it stored"
        );
        let (_, hash) = control_plane.accept_session().await;
        assert_eq!(hash == HASH, remembers, "{version} pings {hash}");
        assert_ne!(hash, ZEROS, "{version}");
    }
}

#[tokio::test]
async fn up_to_3_5_a_refusal_is_an_old_hash_at_once_and_later_it_is_silence() {
    let control_plane = ScriptedControlPlane::listen().await;
    for (version, at_once) in [
        ("2.8.5", true),
        ("3.5.0", true),
        ("3.6.1", false),
        ("3.9.1", false),
    ] {
        let node = DataPlane::start(control_plane.node(version));
        let (mut connection, _) = control_plane.accept_session().await;
        connection
            .push(&json!({ "_format_version": "2.1", "wrong": [] }), HASH)
            .await;
        node.sees("has refused it", |observed| observed.refusals.first().cloned())
            .await;
        if at_once {
            assert_eq!(connection.ping().await, ZEROS);
        } else {
            node.ping_now();
            assert_eq!(connection.ping().await, ZEROS);
        }
        let pings = node.observed().pings.len();
        assert_eq!(pings, 2, "{version}");
    }
}

#[tokio::test]
async fn the_hash_of_nothing_is_hidden_from_3_2_on_unless_there_are_parameters() {
    let control_plane = ScriptedControlPlane::listen().await;
    let nothing = json!({ "_format_version": "2.1", "workspaces": accepted_table()["workspaces"] });
    for (version, expected) in [("2.8.5", HASH), ("3.2.2", ZEROS), ("3.9.1", ZEROS)] {
        let _node = DataPlane::start(control_plane.node(version));
        let (mut connection, _) = control_plane.accept_session().await;
        connection.push(&nothing, HASH).await;
        assert_eq!(connection.ping().await, expected, "{version}");
    }
    let _node = DataPlane::start(control_plane.node("3.9.1"));
    let (mut connection, _) = control_plane.accept_session().await;
    let mut something = nothing;
    something["parameters"] = accepted_table()["parameters"].clone();
    connection.push(&something, HASH).await;
    assert_eq!(connection.ping().await, HASH);
}

#[tokio::test]
async fn what_is_no_single_gzip_member_of_json_ends_the_connection() {
    let control_plane = ScriptedControlPlane::listen().await;
    let whole = gzip(&reconfigure(&accepted_table(), HASH));
    let two_members = [whole.clone(), gzip(&json!({}))].concat();
    for payload in [
        b"no gzip".to_vec(),
        whole[..whole.len() - 20].to_vec(),
        two_members,
    ] {
        let node = DataPlane::start(control_plane.node("3.9.1"));
        let (mut connection, _) = control_plane.accept_session().await;
        connection.send_binary(&payload).await;
        let reason = node
            .sees("has crashed", |observed| observed.endings.first().cloned())
            .await;
        assert!(
            reason.starts_with("the thread that applies has crashed"),
            "{reason}"
        );
    }
}

/// What a version says of a document.
fn judged(version: &str, table: &Value) -> Vec<String> {
    let version: KongVersion = version.parse().expect("the version is one");
    let pair = tests::data_plane::Pair::of("kong_clustering");
    let identity = tests::data_plane::Identity::shared(&pair);
    let settings = tests::data_plane::Settings::new(
        version,
        "127.0.0.1:1".parse().expect("the address is one"),
        identity,
    );
    settings.validator().check(table)
}

/// The accepted document with a change that pointers name.
fn changed(pointer: &str, value: Value) -> Value {
    let mut table = accepted_table();
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer has a last name");
    table.pointer_mut(parent).expect("the pointer leads somewhere")[name] = value;
    table
}

#[test]
fn every_version_from_3_0_on_accepts_the_document_of_the_specification() {
    for version in &KongVersion::ALL[1..] {
        let findings = judged(&version.to_string(), &accepted_table());
        assert_eq!(findings, Vec::<String>::new(), "{version}");
    }
    assert_eq!(
        judged("2.8.5", &changed("/_format_version", json!("2.1"))),
        Vec::<String>::new()
    );
}

#[test]
fn one_thing_that_a_version_does_not_take_refuses_everything() {
    let service = "11111111-1111-4111-8111-111111111111";
    let cases = [
        (
            "3.9.1",
            changed("/consumer_groups", json!([])),
            "consumer_groups: unknown field",
        ),
        (
            "3.9.1",
            changed("/services/0/ws_id", json!(service)),
            "services[echo].ws_id: unknown field",
        ),
        (
            "3.9.1",
            changed("/services/0/port", json!("80")),
            "expected a value of type integer",
        ),
        (
            "3.9.1",
            changed("/services/0/created_at", json!(1.5)),
            "expected a value of type integer",
        ),
        (
            "3.9.1",
            changed("/services/0/host", Value::Null),
            "host: required field missing",
        ),
        (
            "3.9.1",
            changed("/services/0/protocol", json!("gopher")),
            "expected one of",
        ),
        (
            "3.9.1",
            changed("/routes/0/service", json!("nobody")),
            "invalid reference",
        ),
        (
            "3.9.1",
            changed("/routes/0/id", json!("R1")),
            "expected a valid UUID",
        ),
        (
            "3.9.1",
            changed("/plugins/0/name", json!("nonesuch")),
            "plugin 'nonesuch' not enabled",
        ),
        (
            "3.9.1",
            changed("/plugins/0/config/nonesuch", json!(1)),
            "nonesuch: unknown field",
        ),
        (
            "3.9.1",
            changed(
                "/plugins/0/consumer",
                json!("44444444-4444-4444-8444-444444444444"),
            ),
            "value must be null",
        ),
        ("2.8.5", accepted_table(), "_format_version"),
        (
            "3.2.2",
            changed("/consumers/0/updated_at", json!(1)),
            "updated_at: unknown field",
        ),
        ("3.0.2", changed("/keys", json!([])), "keys: unknown field"),
        (
            "3.6.1",
            changed("/plugins/0/config/realm", json!("r")),
            "realm: unknown field",
        ),
        (
            "3.3.1",
            changed("/filter_chains", json!([])),
            "filter_chains: unknown field",
        ),
    ];
    for (version, table, reason) in cases {
        let findings = judged(version, &table);
        assert!(
            findings.iter().any(|finding| finding.contains(reason)),
            "{version}: {reason}: {findings:?}"
        );
    }
    let mut twice = accepted_table();
    let service = twice["services"][0].clone();
    twice["services"].as_array_mut().unwrap().push(service);
    assert!(
        judged("3.9.1", &twice)
            .iter()
            .any(|finding| finding.contains("primary key"))
    );
}

#[test]
fn an_unknown_field_without_a_value_does_no_harm() {
    assert_eq!(
        judged("3.9.1", &changed("/services/0/ws_id", Value::Null)),
        Vec::<String>::new()
    );
    assert_eq!(
        judged("3.9.1", &changed("/consumer_groups", Value::Null)),
        Vec::<String>::new()
    );
}
