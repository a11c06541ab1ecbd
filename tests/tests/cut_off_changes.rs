//! A change whose caller went away is made as a whole or not at all, and the caller can learn which: the same command run again
//! tells what the first one did, and changes nothing twice.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tests::api_client::GroupClient;
use tests::command_line::CommandLine;
use tests::eventually::eventually;
use tests::process::Process;
use tests::program;
use tests::server_process::{Log, ServerProcess};
use tests::tcp_proxy::{Flow, TcpProxy};

const FILE: &str = "_format_version: '3.0'\nservices:\n- {name: orders, host: orders.test}\n";

/// What a command needs besides the server.
struct Desk {
    home: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(home.path().join("file.yaml"), FILE).expect("a file is written");
        Self { home }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn shell(&self, address: SocketAddr, token: &str) -> CommandLine {
        CommandLine::of(&format!("http://{address}"), token).export("XDG_STATE_HOME", &self.path("state"))
    }

    /// Starts a command that isn't waited for.
    fn start(&self, address: SocketAddr, token: &str, arguments: &[&str]) -> Process {
        let mut command = program::command();
        command
            .args(arguments)
            .env("RUNTIME_MANAGER_URL", format!("http://{address}"))
            .env("RUNTIME_MANAGER_TOKEN", token)
            .env("XDG_STATE_HOME", self.path("state"));
        Process::start("runtime-manager", &mut command, &self.home.path().join("output"))
    }
}

fn address(server: &ServerProcess) -> SocketAddr {
    let url = server.url();
    let address = url.trim_start_matches("http://").parse();
    address.expect("an address")
}

async fn has_version(group: &GroupClient, version: u64) {
    eventually("the change is made", async || match group.version().await {
        now if now >= version => Ok(()),
        now => Err(now),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_was_killed_is_told_what_it_did_when_it_is_run_again() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let (desk, token, group) = (Desk::new(), server.admin_token(), server.api().group("default"));
    let wire = TcpProxy::wire(address(&server));
    let file = desk.path("file.yaml");
    group
        .put("services/before", &json!({"host": "before.test"}))
        .await
        .expect_status(200);
    let mut version = 1;
    for arguments in [
        ["apply", &file, "--group", "default"].as_slice(),
        &["rollback", "1", "--group", "default", "--yes"],
    ] {
        wire.let_flow(Flow::RequestsOnly);
        let mut cut_off = desk.start(wire.address(), &token, arguments);
        has_version(&group, version + 1).await;
        cut_off.kill9();
        wire.let_flow(Flow::Both);
        // Somebody else goes on meanwhile: made again, it would be another change.
        group
            .put("services/orders", &json!({"host": "another.test"}))
            .await
            .expect_status(200);

        let again = desk.shell(wire.address(), &token).run(arguments).await;
        assert!(
            again
                .stdout()
                .contains(&format!("default is at version {}", version + 1)),
            "{arguments:?}: {again:?}"
        );
        assert_eq!(group.version().await, version + 2, "{arguments:?}");
        version += 2;
    }
    // Asked a third time it is another wish.
    let wished = desk
        .shell(wire.address(), &token)
        .run(&["apply", &file, "--group", "default"])
        .await;
    wished.expect_code(2);
    assert_eq!(group.version().await, version + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_interrupted_says_that_its_outcome_is_unknown() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let (desk, token, group) = (Desk::new(), server.admin_token(), server.api().group("default"));
    let wire = TcpProxy::wire(address(&server));
    let file = desk.path("file.yaml");
    let arguments = ["apply", &file, "--group", "default"];
    wire.let_flow(Flow::RequestsOnly);
    let mut cut_off = desk.start(wire.address(), &token, &arguments);
    has_version(&group, 1).await;
    let id = rustix::process::Pid::from_raw(cut_off.id().cast_signed()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(cut_off.ended().await.code(), Some(130));
    let said = cut_off.printed();
    assert!(
        said.contains("outcome unknown") && said.contains("again is safe"),
        "{said}"
    );

    wire.let_flow(Flow::Both);
    let again = desk
        .shell(wire.address(), &token)
        .run(&arguments)
        .await
        .expect_code(2);
    assert!(again.stdout().contains("default is at version 1"), "{again:?}");
    assert_eq!(group.version().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_before_it_answers_has_made_the_change_once() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let (desk, token) = (Desk::new(), server.admin_token());
    let wire = TcpProxy::wire(address(&server));
    let file = desk.path("file.yaml");
    let arguments = ["apply", &file, "--group", "default"];
    wire.let_flow(Flow::RequestsOnly);
    let mut cut_off = desk.start(wire.address(), &token, &arguments);
    has_version(&server.api().group("default"), 1).await;
    server.kill9();
    drop(wire);
    // It asks for a while whether the server is back, and then says what it doesn't know.
    assert_eq!(cut_off.ended().await.code(), Some(1));
    let said = cut_off.printed();
    assert!(
        said.contains("outcome unknown") && !said.contains("start it with"),
        "{said}"
    );

    server.start_again();
    server.ready().await;
    let again = desk
        .shell(address(&server), &token)
        .run(&arguments)
        .await
        .expect_code(2);
    assert!(again.stdout().contains("default is at version 1"), "{again:?}");
    assert_eq!(server.api().group("default").version().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_say_is_asked_again_under_the_same_key() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let keys = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&keys);
    std::thread::spawn(move || answer_that_the_outcome_is_unknown(&listener, &heard));

    let desk = Desk::new();
    let file = desk.path("file.yaml");
    let arguments = ["apply", &file, "--group", "default"];
    for _ in 0..2 {
        let ended = desk.shell(address, "token").run(&arguments).await.expect_code(1);
        let said = ended.stderr();
        assert!(
            said.contains("outcome unknown") && said.contains("again is safe"),
            "{said}"
        );
    }
    let keys = keys.lock().unwrap();
    assert!(keys.len() >= 4, "{keys:?}");
    assert!(
        !keys[0].is_empty() && keys.iter().all(|key| *key == keys[0]),
        "{keys:?}"
    );
}

/// A server that never knows what became of anything.
fn answer_that_the_outcome_is_unknown(listener: &TcpListener, keys: &Mutex<Vec<String>>) {
    const BODY: &str =
        r#"{"status":503,"type":"urn:runtime-manager:problem:outcome-unknown","detail":"not known yet"}"#;
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { return };
        let mut reader = BufReader::new(stream.try_clone().expect("a connection"));
        let (mut key, mut length) = (String::new(), 0);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("idempotency-key:") {
                value.trim().clone_into(&mut key);
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_ok() {
            keys.lock().expect("nobody panicked").push(key);
            let _ = write!(
                stream,
                "HTTP/1.1 503 Service Unavailable\r\nretry-after: 0\r\ncontent-type: application/problem+json\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{BODY}",
                BODY.len()
            );
        }
    }
}
