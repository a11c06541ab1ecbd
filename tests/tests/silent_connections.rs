//! Connections that say nothing, or never finish what they began: they are closed in time and keep nobody from being answered.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Body;
use serde_json::json;
use tests::api_client::ApiClient;
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How many connections are held open against each listener, unless `SILENT` says otherwise.
const SILENT: usize = 600;
/// How many API connections there may be, per so many silent ones.
const FEWER: usize = 2;

/// What a client says before it falls silent.
const BEGINNINGS: [&str; 6] = [
    "",
    "PRI * HTTP/2.0\r\n",
    "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ",
    "POST /v2/runtime-groups HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n",
    "POST /v2/runtime-groups HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n",
    // The preface and a frame of settings: a client of HTTP/2 that never asks.
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_silent_connections_keeps_nobody_from_being_answered() {
    let silent = silent();
    raise_open_files();
    let places = (silent / FEWER).to_string();
    let arguments = [
        "--connections-per-address",
        &places,
        "--dataplane-connections",
        &places,
    ];
    let mut server = ServerProcess::prepare(Log::Sqlite).with_arguments(&arguments);
    server.start_again();
    server.ready().await;
    let (api, instances) = (
        address(&server.url()),
        server.dataplane_address().parse().unwrap(),
    );
    let mut crowd = Vec::new();
    for number in 0..silent {
        crowd.push(fall_silent(api, BEGINNINGS[number % BEGINNINGS.len()]).await);
        crowd.push(fall_silent(instances, "").await);
    }

    health_is_answered(&server).await;
    // A client that wasn't connected before.
    let newcomer = ApiClient::new(&server.url(), &server.admin_token());
    newcomer.get("/healthz").await.expect_status(200);
    let group = newcomer.create_group("in-the-crowd").await;
    let service = json!({ "name": "orders", "host": "orders.test" });
    let services = newcomer.group(group["name"].as_str().unwrap());
    services.post("services", &service).await.expect_status(201);

    for connection in crowd {
        ends(connection).await;
    }
    health_is_answered(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_finishes_is_closed_while_what_moves_goes_on() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let api = server.api();
    api.create_group("slow").await;
    let (address, token) = (address(&server.url()), server.admin_token());
    let mut events = follow(address, "slow", &token).await;
    let (pieces, upload) = upload(&server, "slow", &token);

    let (tasks, mut waiting) = (TaskTracker::new(), Vec::new());
    for beginning in BEGINNINGS {
        waiting.push(tasks.spawn(ends(fall_silent(address, beginning).await)));
        waiting.push(tasks.spawn(ends(fall_silent(address, &authorized(beginning, &token)).await)));
    }
    // Until all of them are closed, which takes longer than any body may stand still, the upload moves by a byte now and then.
    let mut now_and_then = tokio::time::interval(Duration::from_millis(500));
    while !waiting.iter().all(tokio::task::JoinHandle::is_finished) {
        pieces.send(b"#".to_vec()).await.expect("the upload is taken");
        now_and_then.tick().await;
    }
    for silent in waiting {
        silent.await.expect("a silent connection was closed");
    }

    let file = "\n_format_version: \"3.0\"\nservices:\n- name: late\n  host: late.test\n";
    pieces
        .send(file.as_bytes().to_vec())
        .await
        .expect("the upload is taken");
    drop(pieces);
    let answer = upload
        .await
        .expect("the upload's task ends")
        .expect("the upload is answered");
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
    let mut heard = String::new();
    while !heard.contains("event: change") {
        let mut some = [0; 4096];
        let count = events.read(&mut some).await.expect("the events go on");
        assert!(count > 0, "the events go on after {heard}");
        heard.push_str(&String::from_utf8_lossy(&some[..count]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_never_comes_is_answered_with_408() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let beginning = authorized(BEGINNINGS[3], &server.admin_token());
    let mut connection = fall_silent(address(&server.url()), &beginning).await;
    let mut answer = String::new();
    connection
        .read_to_string(&mut answer)
        .await
        .expect("an answer comes");
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("256 bytes a second"), "{answer}");
}

/// A request of this beginning that would be let in.
fn authorized(beginning: &str, token: &str) -> String {
    beginning.replace(
        "host: x\r\n",
        &format!("host: x\r\ncontent-type: application/json\r\nauthorization: Bearer {token}\r\n"),
    )
}

async fn health_is_answered(server: &ServerProcess) {
    for path in ["healthz", "readyz", "metrics"] {
        let url = format!("{}/{path}", server.operations_url());
        let answer = reqwest::get(&url).await.expect("health is answered");
        assert_eq!(answer.status(), 200, "{path}");
    }
}

/// Opens a connection, says a beginning and no more.
async fn fall_silent(address: SocketAddr, beginning: &str) -> TcpStream {
    eventually("a connection is made", async || {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(beginning.as_bytes()).await?;
        Ok::<_, std::io::Error>(stream)
    })
    .await
}

/// Waits until the server closes the connection, whatever it says before.
async fn ends(mut connection: TcpStream) {
    let mut heard = [0; 1024];
    // A reset is an end too.
    while connection.read(&mut heard).await.is_ok_and(|count| count > 0) {}
}

async fn follow(address: SocketAddr, group: &str, token: &str) -> TcpStream {
    let request = format!(
        "GET /v2/runtime-groups/{group}/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    let mut events = fall_silent(address, &request).await;
    let mut head = [0; 12];
    events
        .read_exact(&mut head)
        .await
        .expect("the events are answered");
    assert_eq!(&head, b"HTTP/1.1 200");
    events
}

/// A decK file that is uploaded in pieces.
fn upload(
    server: &ServerProcess,
    group: &str,
    token: &str,
) -> (
    mpsc::Sender<Vec<u8>>,
    tokio::task::JoinHandle<reqwest::Result<reqwest::Response>>,
) {
    let (pieces, mut coming) = mpsc::channel::<Vec<u8>>(1);
    let body = futures::stream::poll_fn(move |context| {
        coming
            .poll_recv(context)
            .map(|piece| piece.map(Ok::<_, std::io::Error>))
    });
    let request = reqwest::Client::new()
        .post(format!("{}/v2/runtime-groups/{group}/apply", server.url()))
        .bearer_auth(token)
        .header("content-type", "application/yaml")
        .body(Body::wrap_stream(body));
    (pieces, TaskTracker::new().spawn(request.send()))
}

fn address(url: &str) -> SocketAddr {
    let address = url.trim_start_matches("http://").parse();
    address.expect("the server has an address")
}

fn silent() -> usize {
    std::env::var("SILENT").map_or(SILENT, |count| count.parse().expect("SILENT is a number"))
}

/// This process holds the other end of all of them.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).expect("the limit of open files can be raised to its maximum");
}
