//! Items 1 to 12: the connection.

use serde_json::{Value, json};
use tests::data_plane::wire::Wire;
use tests::data_plane::{Authority, DataPlane, Identity, Order, Pair, Settings, tls};
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};

use crate::world::{SERVER_NAME, World, content};

async fn open(settings: &Settings) -> Wire {
    let connector = tls::connector(&settings.identity, settings.tls_versions);
    Wire::open(settings, &connector)
        .await
        .expect("the handshake succeeds")
}

/// How far a peer gets: the error is one of TLS or of the first answer.
async fn knock(settings: &Settings) -> Result<u16, String> {
    let connector = tls::connector(&settings.identity, settings.tls_versions);
    let mut wire = Wire::open(settings, &connector).await?;
    let head = wire
        .upgrade(settings, &settings.target("/v1/outlet"), None)
        .await?;
    Ok(head.status())
}

#[tokio::test]
async fn item_1_the_probe_for_wrpc_is_answered_404() {
    let world = World::begin().await;
    let settings = world.settings("3.0.2");
    let head = open(&settings).await.probe_for_wrpc(&settings).await.unwrap();
    assert_eq!(head.status(), 404);
    let node = DataPlane::start(settings);
    node.applied().await;
    assert_eq!(node.observed().protocol, Some(tests::data_plane::Protocol::V1));
}

#[tokio::test]
async fn item_2_the_upgrade_is_a_plain_101() {
    let world = World::begin().await;
    let settings = world.settings("3.9.1");
    let mut wire = open(&settings).await;
    let head = wire
        .upgrade(&settings, &settings.target("/v1/outlet"), None)
        .await
        .unwrap();
    assert!(
        head.status_line.starts_with("HTTP/1.1 101"),
        "{}",
        head.status_line
    );
    assert_eq!(head.header("sec-websocket-extensions"), None);
    assert_eq!(head.header("sec-websocket-protocol"), None);
    assert_eq!(
        head.header("upgrade").map(str::to_ascii_lowercase).as_deref(),
        Some("websocket")
    );
}

#[tokio::test]
async fn item_3_a_pair_of_kong_hybrid_opens_the_door_with_tls_1_2_and_1_3_and_no_alpn() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Pair::of_kong_hybrid();
    let [certificate, key] = ["cluster.crt", "cluster.key"].map(|name| directory.path().join(name));
    std::fs::write(&certificate, &pair.certificate).unwrap();
    std::fs::write(&key, &pair.key).unwrap();
    let arguments = [
        "--dataplane-shared-cert",
        certificate.to_str().unwrap(),
        "--dataplane-shared-key",
        key.to_str().unwrap(),
    ];
    let world = World::begin_with(ServerProcess::prepare(Log::Sqlite).with_arguments(&arguments)).await;
    world.pin("default", &pair).await;
    for (tls_versions, expected) in [
        (tls::ONLY_1_2, rustls::ProtocolVersion::TLSv1_2),
        (tls::ONLY_1_3, rustls::ProtocolVersion::TLSv1_3),
    ] {
        let mut settings = world.settings("3.9.1");
        settings.identity = Identity::shared(&pair);
        settings.tls_versions = tls_versions;
        let wire = open(&settings).await;
        assert_eq!(wire.tls_version(), Some(expected));
        assert_eq!(wire.application_protocol(), None);
        let node = DataPlane::start(settings);
        node.applied().await;
        content(&node);
    }
    // Beside them the others are served with the built-in authority's certificate.
    let node = world.node("3.9.1");
    node.applied().await;
}

#[tokio::test]
async fn item_4_a_stranger_and_who_has_no_key_to_its_certificate_are_dropped_before_any_answer() {
    let world = World::begin().await;
    let stranger = Pair::of("kong_clustering");
    let mut settings = world.settings_of("3.9.1", &stranger);
    let error = knock(&settings).await.expect_err("a stranger isn't answered");
    assert!(!error.contains("HTTP"), "{error}");
    settings = world.settings_of("3.9.1", &world.pair.with_the_key_of(&stranger));
    for tls_versions in [tls::ONLY_1_2, tls::ONLY_1_3] {
        settings.tls_versions = tls_versions;
        knock(&settings)
            .await
            .expect_err("a certificate without its key isn't enough");
    }
    assert_eq!(knock(&world.settings("3.9.1")).await, Ok(101));
    assert!(world.metric("dataplane_connections_refused").await >= 2.0);
}

#[tokio::test]
async fn item_4_a_certificate_of_an_authority_that_a_group_trusts_opens_that_group() {
    let world = World::begin().await;
    let authority = Authority::named("Edge CA");
    let body = json!({ "name": "edge", "auth_type": "pki_client_certs" });
    world
        .api()
        .post("/v2/runtime-groups", &body)
        .await
        .expect_status(201);
    let root = Pair {
        certificate: authority.certificate(),
        key: String::new(),
    };
    world.pin("edge", &root).await;
    let node = DataPlane::start(world.settings_of("3.9.1", &authority.issue("node-1", false)));
    node.applied().await;
    eventually("the node is listed in its group", async || {
        let nodes = world.api().group("edge").nodes().await;
        if nodes.len() == 1 {
            Ok(())
        } else {
            Err(format!("{nodes:?}"))
        }
    })
    .await;
    let stranger = Authority::named("Edge CA").issue("node-2", true);
    knock(&world.settings_of("3.9.1", &stranger))
        .await
        .expect_err("another authority of that name isn't trusted");
}

#[tokio::test]
async fn item_5_a_missing_id_or_version_is_a_bad_request() {
    let world = World::begin().await;
    let settings = world.settings("3.9.1");
    for query in [
        "node_hostname=a&node_version=3.9.1",
        "node_id=6b108f23-0a8a-4f4e-9d5c-1b8a6a6cf2a0&node_hostname=a",
        "",
    ] {
        let target = format!("/v1/outlet?{query}");
        let head = open(&settings)
            .await
            .upgrade(&settings, &target, None)
            .await
            .unwrap();
        assert_eq!(head.status(), 400, "{query}");
    }
    let head = open(&settings)
        .await
        .upgrade(&settings, "/v1/nowhere", None)
        .await
        .unwrap();
    assert_eq!(head.status(), 404);
}

#[tokio::test]
async fn item_5_a_version_that_cannot_be_read_is_recorded_and_refused() {
    let world = World::begin().await;
    for version in ["four", "4.0.0", "1.5.1", "3.11.0"] {
        let mut settings = world.settings("3.9.1");
        settings.version_text = version.to_owned();
        let node = DataPlane::start(settings);
        world
            .listed(&node, "kong_version_incompatible", |record| {
                record["sync_status"] == "kong_version_incompatible"
            })
            .await;
        assert!(node.observed().applied.is_none(), "Kong {version} gets nothing");
    }
}

#[tokio::test]
async fn item_5_a_version_of_four_parts_is_one_of_three() {
    let world = World::begin().await;
    let mut settings = world.settings("3.4.2");
    settings.version_text = "3.4.3.12-enterprise-edition".to_owned();
    let node = DataPlane::start(settings);
    node.applied().await;
    let record = world
        .listed(&node, "in_sync", |record| record["status"] == "in_sync")
        .await;
    assert_eq!(record["version"], "3.4.3.12-enterprise-edition");
}

#[tokio::test]
async fn item_6_host_names_come_as_they_are_and_a_path_prefix_is_no_obstacle() {
    let world = World::begin().await;
    for hostname in ["", "a node", "kong&co=1", "münchen-1", "100%"] {
        for path_prefix in ["", "/tenant-a"] {
            let mut settings = world.settings("3.9.1");
            settings.hostname = hostname.to_owned();
            settings.path_prefix = path_prefix.to_owned();
            let node = DataPlane::start(settings);
            node.applied().await;
            // The query's separators can't be told from a host name's own.
            if !hostname.contains('&') {
                world
                    .listed(&node, hostname, |record| record["hostname"] == hostname)
                    .await;
            }
        }
    }
}

/// A file of so many plugins that each hold 200 kB which hardly compress.
fn bulky(plugins: usize) -> Value {
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut text = || -> String {
        let letters = (0..200_000).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(
                b" !#$%&()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcde"[(state % 64) as usize],
            )
        });
        letters.collect()
    };
    let service = |number: usize, body: String| {
        json!({
            "name": format!("bulky-{number}"), "host": "bulky.test",
            "plugins": [{ "name": "request-termination", "config": { "status_code": 200, "body": body } }],
        })
    };
    let services: Vec<Value> = (0..plugins).map(|number| service(number, text())).collect();
    json!({ "_format_version": "3.0", "services": services })
}

#[tokio::test]
async fn item_7_sixteen_mebibytes_go_out_as_one_frame() {
    let world = World::begin().await;
    world.apply(&bulky(115)).await;
    let mut settings = world.settings("3.9.1");
    settings.max_payload = 64 << 20;
    let node = DataPlane::start(settings);
    node.runs_with("services", "bulky-114").await;
    let received = node.observed().received.unwrap();
    assert!(
        received.payload.len() > 16 << 20,
        "{} bytes",
        received.payload.len()
    );
    content(&node);
    assert_eq!(node.observed().endings, Vec::<String>::new());
}

#[tokio::test]
async fn item_8_every_ping_is_answered_with_a_pong_and_the_control_plane_never_pings() {
    let world = World::begin().await;
    let node = world.node("3.9.1");
    node.applied().await;
    for _ in 0..20 {
        node.ping_now();
    }
    node.sees("has its pongs", |observed| {
        (observed.pongs as usize == observed.pings.len() && observed.pongs >= 20).then_some(())
    })
    .await;
    content(&node);
}

#[tokio::test]
async fn item_9_a_frame_beyond_the_nodes_limit_is_not_sent_and_the_node_is_flagged() {
    let world = World::begin().await;
    world.add_service("small").await;
    let mut settings = world.settings("3.9.1");
    settings.max_payload = 4 << 20;
    let told = DataPlane::start(settings);
    // Before 3.4 a node doesn't tell its limit.
    let default = world.node("3.3.1");
    let roomy = world.node("3.9.1");
    let nodes = [told, default, roomy];
    world
        .reach(&nodes, "has the small one", |applied| {
            applied.find("services", "small").is_some()
        })
        .await;
    world.apply(&bulky(30)).await;
    let [told, default, roomy] = &nodes;
    roomy.runs_with("services", "bulky-29").await;
    for node in [told, default] {
        let record = world
            .listed(node, "withheld", |record| record["status"] == "withheld")
            .await;
        assert!(record.to_string().contains("cluster_max_payload"), "{record}");
        assert!(
            node.observed()
                .applied
                .unwrap()
                .find("services", "small")
                .is_some()
        );
        assert_eq!(
            node.observed().endings,
            Vec::<String>::new(),
            "the connection is kept"
        );
    }
    // Once it fits again, it arrives.
    let file = json!({ "_format_version": "3.0", "services": [{ "name": "again", "host": "again.test" }] });
    world
        .group
        .apply(&file.to_string(), "?prune=true")
        .await
        .expect_status(200);
    world
        .reach(&nodes, "has the next one", |applied| {
            applied.find("services", "again").is_some()
        })
        .await;
}

#[tokio::test]
async fn item_10_who_stops_reading_in_a_frame_is_dropped_and_holds_up_nobody() {
    let world = World::begin().await;
    let (stuck, quick) = (world.node("3.9.1"), world.node("3.9.1"));
    stuck.applied().await;
    quick.applied().await;
    stuck.order(Order::StopReading);
    world.apply(&bulky(60)).await;
    quick.runs_with("services", "bulky-59").await;
    world.add_service("after").await;
    quick.runs_with("services", "after").await;
    world
        .listed(&stuck, "not connected", |record| {
            record["connection_state"]["is_connected"] == false
        })
        .await;
}

#[tokio::test]
async fn item_11_an_end_without_a_close_frame_makes_no_noise_and_leaves_nothing() {
    let mut world = World::begin().await;
    let mut nodes = Vec::new();
    for _ in 0..20 {
        nodes.push(world.node("3.9.1"));
    }
    world.reach(&nodes, "has a configuration", |_| true).await;
    for node in &mut nodes {
        node.stop().await;
    }
    eventually("every connection is gone", async || {
        let nodes = world.group.nodes().await;
        let connected = nodes
            .iter()
            .filter(|node| node["connection_state"]["is_connected"] == true)
            .count();
        if connected == 0 { Ok(()) } else { Err(connected) }
    })
    .await;
    let printed = world.server.process().printed();
    let noise: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains(" ERROR ") || line.contains(" WARN "))
        .collect();
    assert_eq!(noise, Vec::<&str>::new());
    let open = std::fs::read_dir(format!("/proc/{}/fd", world.server.pid()))
        .unwrap()
        .count();
    let another = world.node("3.9.1");
    another.applied().await;
    let now = std::fs::read_dir(format!("/proc/{}/fd", world.server.pid()))
        .unwrap()
        .count();
    assert!(now <= open + 5, "{open} descriptors have become {now}");
}

#[tokio::test]
async fn item_12_two_connections_with_one_id_are_one_node_whose_last_word_counts() {
    let world = World::begin().await;
    let settings = world.settings("3.9.1");
    let mut first = DataPlane::start(settings.clone());
    let second = DataPlane::start(settings);
    first.applied().await;
    second.applied().await;
    world.add_service("orders").await;
    first.runs_with("services", "orders").await;
    let hash = second.runs_with("services", "orders").await.hash;
    world
        .listed(&second, "the new hash", |record| {
            record["config_hash"] == hash.as_str()
        })
        .await;
    assert_eq!(world.group.nodes().await.len(), 1);
    first.stop().await;
    second.ping_now();
    let record = world
        .listed(&second, "still connected", |record| record["status"] == "in_sync")
        .await;
    assert_eq!(record["connection_state"]["is_connected"], true);
    assert_eq!(world.group.nodes().await.len(), 1);
    content(&second);
}

#[tokio::test]
async fn the_listeners_name_is_checked_by_the_node() {
    let world = World::begin().await;
    let mut settings = world.settings("3.9.1");
    let Settings { identity, .. } = world.settings("3.9.1");
    assert_eq!(identity.server_name().to_str(), SERVER_NAME);
    let authority = std::fs::read_to_string(world.server.data_dir().join("ca.pem")).unwrap();
    settings.identity = Identity::pki(&world.pair, &authority, "another.example");
    let error = knock(&settings)
        .await
        .expect_err("the certificate isn't for that name");
    assert!(error.contains("TLS handshake failed"), "{error}");
}
