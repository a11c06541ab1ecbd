//! The instances' listener: a certificate or a token opens one group over every protocol, or nothing.

use std::collections::BTreeSet;

use api::clock::SystemClock;
use domain::token::{self, Role};
use domain::{Clock as _, Timestamp};
use futures::future::join_all;
use serde_json::json;
use tests::agent_process::AgentProcess;
use tests::data_plane::upgrade::websocket_request;
use tests::data_plane::wire::Wire;
use tests::data_plane::{DataPlane, KongVersion, Pair};
use tests::eventually::eventually;

use crate::world::{GROUPS, Shown, World, text};

const NEWEST: KongVersion = KongVersion::new(3, 9, 1);
/// The protocols of Kong's data planes, with what is offered for them.
const PROTOCOLS: [(&str, Option<&str>); 3] = [
    ("/v1/outlet", None),
    ("/v1/wrpc", Some("wrpc.konghq.com")),
    ("/v2/outlet", Some("kong.meta.v1")),
];

/// The status that a request gets whose sender shows a certificate; none where it isn't answered.
async fn answer(world: &World, pair: &Pair, shows: bool, request: &str) -> Option<u16> {
    let settings = world.settings(NEWEST, pair);
    let connector = world.connector(&settings, shows);
    let mut wire = Wire::open(&settings, &connector).await.ok()?;
    let head = wire.request(request).await.ok()?;
    Some(head.status())
}

/// What is wrong with how a certificate is answered at each door.
async fn wrong(world: &World, shown: &Shown, cases: &mut usize) -> Vec<String> {
    let settings = world.settings(NEWEST, &shown.pair);
    let mut wrong = Vec::new();
    let mut due = Vec::new();
    for (path, protocol) in PROTOCOLS {
        let request = websocket_request(&settings.target(path), "localhost", protocol);
        due.push((request, shown.opens.map(|_| 101)));
    }
    let probe = "HEAD /v1/wrpc HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned();
    due.push((probe, shown.opens.map(|_| 404)));
    // A certificate is nothing where tokens are asked for, and there are no other doors.
    let others = [("/native/v1", 401), ("/", 404), ("/healthz", 404), (GROUPS, 404)];
    let has_key = shown.name != "one without its key";
    for (path, status) in others {
        due.push((
            websocket_request(path, "localhost", None),
            has_key.then_some(status),
        ));
    }
    for (request, due) in due {
        *cases += 1;
        let heard = answer(world, &shown.pair, true, &request).await;
        if heard != due {
            let asked = request.lines().next().unwrap_or_default();
            wrong.push(format!(
                "{} ({:?}): {asked}: {heard:?}, not {due:?}",
                shown.name, shown.opens
            ));
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_opens_its_group_over_every_protocol_or_nothing() {
    let world = World::begin().await;
    let (mut cases, mut violations) = (0, Vec::new());
    for shown in &world.shown {
        violations.extend(wrong(&world, shown, &mut cases).await);
    }
    let nobody = Pair::of("nobody");
    for (path, protocol) in PROTOCOLS {
        let request = websocket_request(path, "localhost", protocol);
        cases += 1;
        assert_eq!(answer(&world, &nobody, false, &request).await, None, "{path}");
    }
    println!("{cases} cases of certificates, {} violations", violations.len());
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_let_in_by_a_certificate_is_sent_its_own_groups_configuration() {
    let world = World::begin().await;
    let sync_v2 = KongVersion::new(3, 10, 0);
    let mut nodes = Vec::new();
    for shown in &world.shown {
        for version in [NEWEST, KongVersion::new(3, 1, 1), sync_v2] {
            if let Some(group) = shown.opens {
                let mut settings = world.settings(version, &shown.pair);
                settings.rpc = version == sync_v2;
                settings.rpc_sync = settings.rpc;
                nodes.push((DataPlane::start(settings), group));
            }
        }
    }
    let running = nodes
        .iter()
        .map(|(node, group)| node.runs_with("services", group));
    for (runs, (_, group)) in join_all(running).await.into_iter().zip(&nodes) {
        let others = world.shown.iter().filter_map(|shown| shown.opens);
        let others: BTreeSet<_> = others.filter(|other| other != group).collect();
        assert!(!others.is_empty());
        for other in others {
            assert!(
                runs.find("services", other).is_none(),
                "{group} runs what {other} has"
            );
        }
    }
    println!(
        "{} nodes of {} certificates run their own group's configuration",
        nodes.len(),
        world.shown.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_calls_itself_like_another_groups_is_one_of_its_own_group() {
    let world = World::begin().await;
    let of = |group: &str| {
        let shown = world.shown.iter().find(|shown| shown.opens == Some(group));
        let shown = shown.expect("each has one");
        let mut settings = world.settings(NEWEST, &shown.pair);
        settings.hostname = format!("host-of-{group}");
        settings
    };
    let first = DataPlane::start(of("pinned"));
    first.runs_with("services", "pinned").await;
    let mut settings = of("pki");
    settings.node_id = first.settings().node_id;
    let second = DataPlane::start(settings);
    second.runs_with("services", "pki").await;
    for group in ["pinned", "pki"] {
        let nodes = world.server.api().group(group).nodes().await;
        assert_eq!(nodes.len(), 1, "{group}");
        assert_eq!(nodes[0]["hostname"], format!("host-of-{group}"));
        assert!(!nodes[0]["connected_since"].is_null(), "{group}");
    }
    assert_eq!(first.observed().connections, 1, "it was left alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_its_group_natively_only_if_it_is_an_instances() {
    let world = World::begin().await;
    let api = world.server.api();
    let ended = world.token("instance", Some("native")).await;
    api.delete(&format!("/v2/tokens/{}", ended.1))
        .await
        .expect_status(204);
    world.group("gone", json!({ "runtime_type": "native" })).await;
    let gone = world.token("instance", Some("gone")).await.0;
    let gone_group = world.id("gone").await;
    api.delete(&format!("{GROUPS}/{gone_group}"))
        .await
        .expect_status(204);
    world.group("back", json!({ "runtime_type": "native" })).await;
    let back = world.token("instance", Some("back")).await.0;
    let back_group = world.id("back").await;
    api.delete(&format!("{GROUPS}/{back_group}"))
        .await
        .expect_status(204);
    api.post(&format!("{GROUPS}/{back_group}/restore"), &json!({}))
        .await
        .expect_status(200);
    let native = world.token("instance", Some("native")).await.0;
    let unknown = token::write(Role::Instance, [9; 32]).expose().to_owned();
    let mut due = vec![
        (String::new(), 401),
        ("rmi_not-a-token".to_owned(), 401),
        (unknown, 401),
        (ended.0, 401),
        (gone, 401),
        (native.clone(), 101),
        (back, 101),
        (world.server.admin_token(), 403),
    ];
    for (role, group, status) in [
        ("viewer", None, 403),
        ("admin", Some("native"), 403),
        ("viewer", Some("native"), 403),
        // Of a group whose instances are Kong's data planes.
        ("instance", Some("pki"), 403),
    ] {
        due.push((world.token(role, group).await.0, status));
    }
    let listed = world
        .shown
        .iter()
        .find(|shown| shown.opens == Some("pki"))
        .expect("one");
    for (token, status) in &due {
        let request = websocket_request("/native/v1", "localhost", None);
        let request = request.replacen("\r\n", &format!("\r\nAuthorization: Bearer {token}\r\n"), 1);
        // Whose certificate is shown along with it makes no difference.
        for shows in [false, true] {
            let heard = answer(&world, &listed.pair, shows, &request).await;
            assert_eq!(heard, Some(*status), "{token}");
        }
    }
    println!("{} cases of tokens, 0 violations", due.len() * 2);
    let agent = AgentProcess::start(&world.server, "native", &native);
    eventually("the agent has its own group's configuration", async || {
        let written = std::fs::read_to_string(agent.declarative_file()).map_err(|error| error.to_string())?;
        if written.contains("native.test") {
            Ok(())
        } else {
            Err(written)
        }
    })
    .await;
    assert!(!agent.declarative_text().contains("back.test"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instances_token_that_has_expired_opens_nothing() {
    let world = World::bare().await;
    let soon = Timestamp(SystemClock.now().0 + 2_000);
    let body =
        json!({ "name": "brief", "role": "instance", "group": "default", "expires_at": soon.rfc3339() });
    let brief = world.server.api().post("/v2/tokens", &body).await;
    let brief = text(&brief.expect_status(201).json()["token"]);
    let request = websocket_request("/native/v1", "localhost", None);
    let request = request.replacen("\r\n", &format!("\r\nAuthorization: Bearer {brief}\r\n"), 1);
    let nobody = Pair::of("nobody");
    eventually("it is refused", async || {
        match answer(&world, &nobody, false, &request).await {
            Some(401) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}
