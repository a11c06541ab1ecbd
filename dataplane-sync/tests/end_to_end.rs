//! Agents and a data-plane listener over real TLS sockets.

#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dataplane_sync::SyncStatus;
use dataplane_sync::native::frames::{Applied, Hello, InstanceFrame, ServerFrame, decode_server, encode};
use dataplane_sync::native::{PATH, PROTOCOL};
use domain::organization::OrganizationCommand;
use futures::{SinkExt as _, StreamExt as _};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::task::TaskTracker;

#[path = "shared/configuration.rs"]
mod configuration;
#[path = "shared/world.rs"]
mod world;

use configuration::Step;
use world::{Agent, GROUP, World, eventually, node_id};

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
    let (kong, posts) = strict_kong().await;
    let mut options = world.agent("edge");
    options.kong_admin = Some(kong);
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

    let before = posts.load(Ordering::Relaxed);
    let version = world.configuration.change(&[put(2, "better.internal")]);
    world.runs("edge", version).await;
    assert_eq!(
        posts.load(Ordering::Relaxed),
        before + 1,
        "what was refused isn't tried again"
    );
    world.node("edge", SyncStatus::InSync).await;
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

/// A DB-less Kong that loads everything but hosts that are called bad; its address, and how often it was asked.
async fn strict_kong() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = posts.clone();
    TaskTracker::new().spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            answer_one(stream).await;
        }
    });
    (url, posts)
}

async fn answer_one(mut stream: TcpStream) {
    let mut request = Vec::new();
    let whole = |request: &[u8]| {
        let text = String::from_utf8_lossy(request).to_lowercase();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head
            .split("content-length: ")
            .nth(1)?
            .lines()
            .next()?
            .parse::<usize>()
            .ok()?;
        (body.len() >= length).then(|| body.to_owned())
    };
    let body = loop {
        if let Some(body) = whole(&request) {
            break body;
        }
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    };
    let (status, answer) = if body.contains("bad.internal") {
        ("400 Bad Request", r#"{"message":"bad host"}"#)
    } else {
        ("201 Created", "{}")
    };
    let length = answer.len();
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}
