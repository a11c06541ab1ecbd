//! A server that is asked to end: first it isn't ready, then its doors close, and every request it accepted is answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tests::agent_process::AgentProcess;
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const CLIENTS: usize = 32;

/// What clients and the test tell each other.
#[derive(Default)]
struct Scene {
    answered: AtomicUsize,
    /// Readiness was seen to be lost.
    turned: AtomicBool,
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_on_kept_connections_lose_no_request_while_the_server_drains() {
    let mut server = ServerProcess::prepare(Log::Sqlite).with_arguments(&["--drain-seconds", "3"]);
    server.start_again();
    server.ready().await;
    let address = server.url().trim_start_matches("http://").parse().unwrap();
    let request = format!(
        "GET /v2/runtime-groups HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n",
        server.admin_token()
    );
    let scene = Arc::new(Scene::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(hammer(address, request.clone(), Arc::clone(&scene)));
    }
    let answers = async |count: usize| {
        eventually("requests are answered", async || {
            let answered = scene.answered.load(Ordering::Relaxed);
            if answered >= count {
                Ok(answered)
            } else {
                Err(answered)
            }
        })
        .await
    };
    answers(10 * CLIENTS).await;

    server.process().terminate();
    let ready = format!("{}/readyz", server.url());
    eventually("readiness is lost while requests are taken", async || {
        let answer = reqwest::get(&ready).await.unwrap();
        let (status, body) = (answer.status(), answer.text().await.unwrap());
        if status == 503 && body.contains("draining") {
            Ok(())
        } else {
            Err(body)
        }
    })
    .await;
    scene.turned.store(true, Ordering::Relaxed);
    let before = scene.answered.load(Ordering::Relaxed);
    answers(before + 10 * CLIENTS).await;

    let mut lost = Vec::new();
    while let Some(client) = clients.join_next().await {
        lost.extend(client.unwrap());
    }
    assert!(lost.is_empty(), "requests without an answer: {lost:?}");
    assert!(server.process().ended().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_events_and_instances_end_with_a_good_bye_and_instances_come_back() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let token = server.api().instance_token("default").await;
    let instance = AgentProcess::start(&server, "default", &token);
    let connected = async || {
        eventually("the instance is connected", async || {
            let nodes = group.nodes().await;
            let connected = nodes.iter().any(|node| !node["connected_since"].is_null());
            if connected {
                Ok(())
            } else {
                Err(format!("{nodes:?}"))
            }
        })
        .await;
    };
    connected().await;
    let events = format!("{}/v2/runtime-groups/default/events", server.url());
    let mut events = reqwest::Client::new()
        .get(events)
        .bearer_auth(server.admin_token())
        .send()
        .await
        .unwrap();
    assert!(events.status().is_success());

    assert!(server.stop().await.success());
    while events.chunk().await.expect("the stream ends in order").is_some() {}
    server.start_again();
    server.ready().await;
    connected().await;
    drop(instance);
}

/// Asks on one connection for as long as it is kept and then on the next, until there is none to be had; answers what it lost.
async fn hammer(address: SocketAddr, request: String, scene: Arc<Scene>) -> Option<String> {
    loop {
        let Ok(mut stream) = TcpStream::connect(address).await else {
            let late = scene.turned.load(Ordering::Relaxed);
            return (!late).then(|| "refused before readiness was lost".to_owned());
        };
        for number in 0.. {
            match ask(&mut stream, &request).await {
                Ok(kept) => {
                    scene.answered.fetch_add(1, Ordering::Relaxed);
                    if !kept {
                        break;
                    }
                }
                // A connection in the listener's queue when it closes was never accepted: it is a refused one.
                Err(_) if number == 0 && TcpStream::connect(address).await.is_err() => break,
                Err(error) => return Some(format!("request {number} of a connection: {error}")),
            }
        }
    }
}

/// One request; says whether the connection is kept.
async fn ask(stream: &mut TcpStream, request: &str) -> io::Result<bool> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next());
        let length: usize = length.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            assert!(head.starts_with("http/1.1 200"), "{text}");
            return Ok(!head.contains("connection: close"));
        }
    }
}
