//! Whoever has the credential of one instance can't fill the log, the views and the memory that all share.

use std::path::Path;
use std::str::FromStr as _;

use dataplane_sync::native::frames::{self, Hello, InstanceFrame, ServerFrame};
use dataplane_sync::native::{PATH, PROTOCOL};
use domain::NodeId;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{WebSocketStream, client_async};
use uuid::Uuid;

/// An instance's connection, spoken byte by byte.
struct Wire(WebSocketStream<TcpStream>);

impl Wire {
    async fn open(server: &ServerProcess, token: &str) -> Self {
        let address = server.dataplane_address();
        let stream = TcpStream::connect(&address).await.expect("it listens");
        let mut request = format!("ws://{address}{PATH}")
            .into_client_request()
            .expect("a request");
        let bearer = format!("Bearer {token}").parse().expect("a header");
        request.headers_mut().insert("authorization", bearer);
        let (socket, _) = client_async(request, stream).await.expect("the token is good");
        Self(socket)
    }

    async fn say(&mut self, frame: &InstanceFrame) {
        let message = Message::Binary(frames::encode_plain(frame).into());
        self.0.send(message).await.expect("the connection stands");
    }

    /// The next frame, or the reason why the connection was closed.
    async fn hear(&mut self) -> Result<ServerFrame, String> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    return Ok(frames::decode_server(&bytes).expect("a frame"));
                }
                Some(Ok(Message::Close(close))) => {
                    return Err(close.map(|close| close.reason.to_string()).unwrap_or_default());
                }
                Some(Ok(_)) => {}
                other => return Err(format!("{other:?}")),
            }
        }
    }
}

fn hello(node: u128, filler: &str) -> InstanceFrame {
    InstanceFrame::Hello(Hello {
        protocol: PROTOCOL,
        node: NodeId(Uuid::from_u128(node)),
        hostname: format!("host-{node}{filler}"),
        version: "0.1.0".to_owned(),
        labels: (0..40)
            .map(|number| (format!("label-{number}"), filler.to_owned()))
            .collect(),
        log: None,
        group: None,
        applied: None,
    })
}

/// Comes as a new instance, gets its configuration and refuses it at length.
async fn refuse_at_length(server: &ServerProcess, token: &str, number: u128) {
    let mut wire = Wire::open(server, token).await;
    wire.say(&hello(number, &"x".repeat(1_000))).await;
    let refused = loop {
        match wire.hear().await.expect("it is let in") {
            ServerFrame::Snapshot(snapshot) => break snapshot,
            _ => continue,
        }
    };
    wire.say(&InstanceFrame::Nack {
        version: refused.version,
        digest: refused.digest,
        reason: format!("refusal {number}: {}", "the same words again ".repeat(2_850)),
    })
    .await;
    // What comes after shows that the refusal was heard.
    wire.say(&InstanceFrame::Ping { applied: None }).await;
    while !matches!(wire.hear().await.expect("it is heard"), ServerFrame::Pong {}) {}
}

/// How many bytes a database has, but for free pages and what waits beside it.
async fn size(file: &Path) -> u64 {
    let place = tempfile::tempdir().expect("a temporary directory");
    let copy = place.path().join("copy.db");
    let options = SqliteConnectOptions::from_str(&format!("sqlite://{}", file.display())).expect("a path");
    let mut connection: SqliteConnection = options.connect().await.expect("the server has stopped");
    let statement = format!("VACUUM INTO '{}'", copy.display());
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .expect("a copy");
    connection.close().await.expect("it closes");
    copy.metadata().expect("the copy").len()
}

async fn sizes(server: &ServerProcess) -> [u64; 2] {
    let folder = server.data_dir();
    [
        size(&folder.join("log.db")).await,
        size(&folder.join("views.db")).await,
    ]
}

async fn plaintext(arguments: &[&str]) -> (ServerProcess, String) {
    let arguments = [&["--dataplane-plaintext"], arguments].concat();
    let mut server = ServerProcess::prepare(Log::Sqlite).with_arguments(&arguments);
    server.start_again();
    server.ready().await;
    let service = json!({ "name": "orders", "host": "orders.test" });
    let group = server.api().group("default");
    group.post("services", &service).await.expect_status(201);
    let token = server.api().instance_token("default").await;
    (server, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_new_instances_that_refuse_at_length_leave_log_and_views_as_they_are() {
    let (mut server, token) = plaintext(&[]).await;
    refuse_at_length(&server, &token, 1_000_000).await;
    server.stop().await;
    let before = sizes(&server).await;
    server.start_again();
    server.ready().await;
    let numbers: Vec<u128> = (0..500).collect();
    for some in numbers.chunks(25) {
        let all = some
            .iter()
            .map(|number| refuse_at_length(&server, &token, *number));
        futures::future::join_all(all).await;
    }
    eventually("what was too much is counted", async || {
        let text = server.api().get("/metrics").await.expect_status(200).text();
        let counted = |name: &str| {
            let lines = text.lines().filter(|line| line.starts_with(name));
            lines
                .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
                .sum::<f64>()
        };
        let enough = counted("dataplane_refusals_counted") >= 300.0
            && counted("dataplane_admissions_counted") >= 100.0;
        enough.then_some(()).ok_or(text)
    })
    .await;
    let listed = eventually("few instances are remembered", async || {
        let listed = server.api().group("default").nodes().await;
        match listed.len() {
            ..200 => Ok(listed),
            many => Err(format!("{many} are")),
        }
    })
    .await;
    for node in &listed {
        assert!(node["refusals"].as_u64() >= Some(1), "{node}");
        assert!(
            node.to_string().len() < 30_000,
            "{} bytes",
            node.to_string().len()
        );
    }
    server.stop().await;
    let after = sizes(&server).await;
    let grown = [after[0] - before[0], after[1] - before[1]];
    assert!(grown[0] < 256 * 1024, "the log has grown by {} bytes", grown[0]);
    assert!(
        grown[1] < 3 * 1024 * 1024,
        "the views have grown by {} bytes",
        grown[1]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_brings_so_many_new_instances_in_an_hour_and_those_that_are_known_come_again() {
    let (server, token) = plaintext(&["--new-nodes-per-hour", "20"]).await;
    for round in 0..2 {
        for number in 0..20 {
            let mut wire = Wire::open(&server, &token).await;
            wire.say(&hello(number, "")).await;
            let heard = wire.hear().await;
            assert!(
                matches!(heard, Ok(ServerFrame::Welcome { .. })),
                "{round}: {heard:?}"
            );
        }
    }
    let mut wire = Wire::open(&server, &token).await;
    wire.say(&hello(20, "")).await;
    let refused = loop {
        match wire.hear().await {
            Ok(_) => continue,
            Err(reason) => break reason,
        }
    };
    assert!(refused.contains("more than 20 instances"), "{refused}");
    let another = server.api().instance_token("default").await;
    let mut wire = Wire::open(&server, &another).await;
    wire.say(&hello(21, "")).await;
    wire.hear().await.expect("another credential has its own hour");
}
