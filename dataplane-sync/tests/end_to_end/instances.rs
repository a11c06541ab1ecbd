//! Agents, and instances by hand, on the listener of one process.

use std::sync::Arc;
use std::time::Duration;

use dataplane_sync::SyncStatus;
use dataplane_sync::native::frames::{Applied, Hello, InstanceFrame, ServerFrame, decode_server, encode};
use dataplane_sync::native::{PATH, PROTOCOL};
use domain::organization::OrganizationCommand;
use futures::{SinkExt as _, StreamExt as _};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::task::TaskTracker;

use crate::configuration::Step;
use crate::strict_kong::StrictKong;
use crate::world::{Agent, GROUP, Setting, World, eventually, node_id};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

fn put(number: u128, host: &str) -> Step {
    Step::Put(number, host.to_owned())
}

/// Connects by hand, with this token if any, to this path.
async fn connect(world: &World, path: &str, token: Option<&str>) -> Result<Socket, Error> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(world.authority().as_bytes()).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(world.address()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let mut request = format!("wss://localhost{path}").into_client_request()?;
    if let Some(token) = token {
        let header = format!("Bearer {token}").try_into().unwrap();
        request.headers_mut().insert("authorization", header);
    }
    Ok(client_async(request, stream).await?.0)
}

async fn say(socket: &mut Socket, frame: &InstanceFrame) {
    socket.send(Message::Binary(encode(frame).into())).await.unwrap();
}

async fn hear(socket: &mut Socket) -> ServerFrame {
    loop {
        if let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() {
            return decode_server(&bytes).unwrap();
        }
    }
}

fn hello(applied: Option<Applied>) -> InstanceFrame {
    InstanceFrame::Hello(Hello {
        protocol: PROTOCOL,
        node: node_id(99),
        hostname: "by-hand".to_owned(),
        version: "test".to_owned(),
        labels: std::collections::BTreeMap::new(),
        log: None,
        group: None,
        applied,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_reaches_every_agent_and_the_one_that_does_not_read_holds_up_nobody() {
    let world = World::start();
    let agents: Vec<Agent> = ["a", "b", "c"]
        .iter()
        .map(|name| Agent::run(world.agent(name)))
        .collect();
    let mut slow = connect(&world, PATH, Some(world.token.expose())).await.unwrap();
    say(&mut slow, &hello(None)).await;
    world.node("by-hand", SyncStatus::Syncing).await;

    let mut newest = 0;
    for number in 0..200 {
        newest = world
            .configuration
            .change(&[put(number % 20, &format!("host-{number}"))]);
    }
    for name in ["a", "b", "c"] {
        let node = world.runs(name, newest).await;
        assert_eq!(
            node.record.applied.unwrap().digest,
            world.configuration.state().digest()
        );
    }
    let rollout = world.service.nodes().rollout(GROUP, newest).await.unwrap();
    assert_eq!((rollout.connected, rollout.current), (4, 3));
    assert_eq!(rollout.pending, [node_id(99)]);

    let mut updates = 0;
    while world.nodes().await["by-hand"].status != SyncStatus::InSync {
        let (version, digest) = match hear(&mut slow).await {
            ServerFrame::Snapshot(snapshot) => (snapshot.version, snapshot.digest),
            ServerFrame::Delta(delta) => (delta.to, delta.digest),
            _ => continue,
        };
        updates += 1;
        say(&mut slow, &InstanceFrame::Ack(Applied { version, digest })).await;
        if version == newest {
            world.node("by-hand", SyncStatus::InSync).await;
        }
    }
    assert!(updates <= 2, "what lay between was skipped: {updates}");
    let waited = world
        .service
        .nodes()
        .wait_rollout(GROUP, newest, Duration::from_secs(60))
        .await;
    assert!(waited.unwrap().complete());
    for agent in agents {
        agent.stop().await;
    }
    let gone = world.node("a", SyncStatus::Disconnected).await;
    assert_eq!(gone.record.last_error.as_deref(), Some("the agent was stopped"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_resumes_from_its_disk_and_serves_without_a_control_plane() {
    let world = World::start();
    world
        .configuration
        .change(&[put(1, "first.internal"), put(2, "second.internal")]);
    let agent = Agent::run(world.agent("edge"));
    world.runs("edge", 1).await;
    let version = world
        .configuration
        .change(&[put(2, "other.internal"), Step::Delete(1)]);
    world.runs("edge", version).await;
    agent.stop().await;

    let file = world.declarative_file("edge");
    std::fs::remove_file(&file).unwrap();
    let options = world.agent("edge");
    let before = world.nodes().await["edge"].record.id;
    let agent = Agent::run(options.clone());
    let node = world.runs("edge", version).await;
    assert_eq!(node.record.id, before, "it is the same instance");
    agent.stop().await;

    let _home = world.stop().await;
    std::fs::remove_file(&file).unwrap();
    let agent = Agent::run(options);
    let text = eventually("the last known configuration", async || {
        std::fs::read_to_string(&file).ok()
    })
    .await;
    assert!(text.contains("_transform: false\nservices:\n- id: "), "{text}");
    assert!(
        text.contains("host: other.internal") && !text.contains("first.internal"),
        "{text}"
    );
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_is_admitted_once_and_out_within_a_second_of_its_tokens_end() {
    let world = World::start();
    let agent = Agent::run(world.agent("edge"));
    world.node("edge", SyncStatus::InSync).await;
    let reported = async || Some(world.commands.all()).filter(|commands| commands.len() == 2);
    let commands = eventually("what is worth keeping", reported).await;
    assert!(
        commands
            .iter()
            .any(|command| matches!(command, OrganizationCommand::SetRuntimeType { .. }))
    );
    assert!(commands.iter().any(|command| matches!(
        command,
        OrganizationCommand::AdmitNode { hostname, credential, .. }
            if hostname == "edge" && credential.starts_with("token:")
    )));

    world.revoke();
    world.node("edge", SyncStatus::Disconnected).await;
    let refused = connect(&world, PATH, Some(world.token.expose())).await;
    assert!(matches!(refused, Err(Error::Http(answer)) if answer.status() == 401));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_group_and_an_expired_token_close_the_connections() {
    let endings: [fn(&World); 2] = [World::delete_group, World::expire];
    for end in endings {
        let world = World::start();
        let agent = Agent::run(world.agent("edge"));
        world.node("edge", SyncStatus::InSync).await;
        end(&world);
        let gone = world.node("edge", SyncStatus::Disconnected).await;
        let why = gone.record.last_error.unwrap();
        assert!(why.contains("doesn't admit this instance any more"), "{why}");
        agent.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tls_an_instance_on_this_machine_is_served_and_let_out_all_the_same() {
    let world = World::start_in(Setting {
        tls: false,
        ..Setting::default()
    });
    let agent = Agent::run(world.agent("edge"));
    let version = world.configuration.change(&[put(1, "first.internal")]);
    world.runs("edge", version).await;
    world.revoke();
    world.node("edge", SyncStatus::Disconnected).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_come_in_is_told_why() {
    let world = World::start();
    let person = domain::token::write(domain::token::Role::Admin, [1; 32]);
    for (path, token, status) in [
        (PATH, None, 401),
        (PATH, Some("not-a-token"), 401),
        (PATH, Some(person.expose()), 401),
        ("/v9/unknown", Some(world.token.expose()), 404),
    ] {
        match connect(&world, path, token).await {
            Err(Error::Http(answer)) => assert_eq!(answer.status(), status),
            other => panic!("{path} with {token:?}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_kong_refuses_is_refused_with_its_reason_until_it_changes() {
    let world = World::start();
    let kong = StrictKong::start().await;
    let mut options = world.agent("edge");
    options.kong_admin = Some(kong.url.clone());
    world.configuration.change(&[put(1, "good.internal")]);
    let agent = Agent::run(options);
    world.runs("edge", 1).await;

    let version = world.configuration.change(&[put(2, "bad.internal")]);
    let node = world.node("edge", SyncStatus::Refused).await;
    assert_eq!(
        node.record.applied.unwrap().version,
        1,
        "the one before stays in use"
    );
    let refusal = node.record.refusal.unwrap();
    assert_eq!(refusal.refused.version, version);
    assert!(refusal.reason.contains("bad host"), "{}", refusal.reason);
    let rollout = world
        .service
        .nodes()
        .wait_rollout(GROUP, version, Duration::from_secs(60))
        .await
        .unwrap();
    assert!(!rollout.complete() && rollout.refused[0].reason.contains("bad host"));
    eventually("the refusal's event", async || {
        let all = world.commands.all();
        all.iter()
            .any(|command| matches!(command, OrganizationCommand::RefuseNode { .. }))
            .then_some(())
    })
    .await;

    let before = kong.posts();
    let version = world.configuration.change(&[put(2, "better.internal")]);
    world.runs("edge", version).await;
    assert_eq!(kong.posts(), before + 1, "what was refused isn't tried again");
    world.node("edge", SyncStatus::InSync).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kong_that_is_restarted_alone_gets_its_configuration_again() {
    let world = World::start();
    let kong = StrictKong::start().await;
    let mut options = world.agent("edge");
    options.kong_admin = Some(kong.url.clone());
    let version = world.configuration.change(&[put(1, "good.internal")]);
    let agent = Agent::run(options);
    world.runs("edge", version).await;

    let before = kong.posts();
    kong.restart();
    eventually("Kong has a configuration again", async || {
        (kong.posts() > before).then_some(())
    })
    .await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_plane_that_shuts_down_says_when_to_come_back() {
    let world = World::start();
    let mut socket = connect(&world, PATH, Some(world.token.expose())).await.unwrap();
    say(&mut socket, &hello(None)).await;
    assert!(matches!(hear(&mut socket).await, ServerFrame::Welcome { .. }));
    assert!(matches!(hear(&mut socket).await, ServerFrame::Snapshot(_)));
    let tracker = TaskTracker::new();
    let stopped = tracker.spawn(world.stop());
    assert!(matches!(hear(&mut socket).await, ServerFrame::GoingAway { .. }));
    while socket.next().await.is_some_and(|message| message.is_ok()) {}
    drop(stopped.await.unwrap());
}
