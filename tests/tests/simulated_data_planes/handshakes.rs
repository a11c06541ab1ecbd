//! From TCP to the first message.

use serde_json::{Value, json};
use tests::data_plane::{DataPlane, Identity, KongVersion, Pair, tls};

use crate::scripted_control_plane::ScriptedControlPlane;

#[tokio::test]
async fn the_request_is_the_one_on_the_wire_with_its_host_name_unescaped() {
    let control_plane = ScriptedControlPlane::listen().await;
    let mut settings = control_plane.node("3.9.1");
    settings.hostname = "a node".to_owned();
    settings.path_prefix = "/tenant-a".to_owned();
    let expected = format!(
        "GET /tenant-a/v1/outlet?node_id={}&node_hostname=a node&node_version=3.9.1 HTTP/1.1\r\nUpgrade: websocket\r\nHost: {}\r\nSec-WebSocket-Key: uBATEKb6aS+SFpbr8IusKQ==\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade\r\n\r\n",
        settings.node_id,
        control_plane.address()
    );
    let _node = DataPlane::start(settings);
    assert_eq!(control_plane.accept().await.request, expected);
}

#[tokio::test]
async fn each_version_introduces_itself_with_the_keys_that_it_has() {
    let control_plane = ScriptedControlPlane::listen().await;
    for version in KongVersion::ALL.map(|version| version.to_string()) {
        if version.starts_with("3.1.") {
            continue;
        }
        let mut settings = control_plane.node(&version);
        settings.labels.insert("region".to_owned(), "eu".to_owned());
        let _node = DataPlane::start(settings);
        let mut connection = control_plane.accept().await;
        if connection.request.starts_with("HEAD /v1/wrpc ") {
            connection
                .send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .await;
            connection = control_plane.accept().await;
        }
        connection.switch_protocols().await;
        let (_, info) = connection.frame().await;
        let info: Value = serde_json::from_slice(&info).unwrap();
        let keys: Vec<&str> = info.as_object().unwrap().keys().map(String::as_str).collect();
        let expected: &[&str] = match version.as_str() {
            "2.8.5" | "3.0.2" | "3.2.2" => &["type", "plugins"],
            "3.3.1" => &["type", "plugins", "labels"],
            _ => &["type", "plugins", "labels", "process_conf", "filters"],
        };
        assert_eq!(keys, expected, "{version}");
        assert!(info["plugins"].as_array().unwrap().contains(
            &json!({ "name": "acl", "version": match version.as_str() {
                "2.8.5" => "3.0.1",
                other => other,
            }})
        ));
    }
}

#[tokio::test]
async fn a_pair_of_kong_hybrid_opens_both_versions_of_tls() {
    let pair = Pair::of_kong_hybrid();
    let control_plane = ScriptedControlPlane::listen_with(pair.clone()).await;
    for tls_versions in [tls::ONLY_1_2, tls::ONLY_1_3] {
        let mut settings = control_plane.node("3.9.1");
        settings.tls_versions = tls_versions;
        let _node = DataPlane::start(settings);
        let (_, hash) = control_plane.accept_session().await;
        assert_eq!(hash, "00000000000000000000000000000000");
    }
}

#[tokio::test]
async fn a_control_plane_with_another_certificate_is_not_trusted() {
    let control_plane = ScriptedControlPlane::listen().await;
    let mut settings = control_plane.node("3.9.1");
    settings.identity = Identity::shared(&Pair::of("kong_clustering"));
    let node = DataPlane::start(settings);
    control_plane.fail_to_accept().await;
    let reason = node
        .sees("has been refused", |observed| observed.endings.first().cloned())
        .await;
    assert!(reason.starts_with("TLS handshake failed"), "{reason}");
}

#[tokio::test]
async fn only_before_3_1_a_refusal_is_taken_for_a_connection() {
    let control_plane = ScriptedControlPlane::listen().await;
    for (version, taken) in [("2.8.5", true), ("3.2.2", false), ("3.10.0", false)] {
        let node = DataPlane::start(control_plane.node(version));
        let mut connection = control_plane.accept().await;
        connection
            .send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            .await;
        if taken {
            assert_eq!(connection.frame().await.0, 2, "it sends its basic_info");
        }
        drop(connection);
        let connections = node
            .sees("has given up", |observed| {
                observed.endings.first().map(|_| observed.connections)
            })
            .await;
        assert_eq!(connections, u64::from(taken), "{version}");
    }
}
