//! The files of an embedded installation: what is removed under a running server is told at once and nothing is acknowledged any
//! more; a stopped server leaves everything in one file; and nobody but the owner reads any of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use tests::command_line::CommandLine;
use tests::eventually::eventually;
use tests::sample_history;
use tests::server_process::{Log, ServerProcess};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_acknowledged_while_the_log_is_not_where_it_belongs() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let service = |name: &str| json!({ "name": name, "host": "s.test" });
    group
        .post("services", &service("before"))
        .await
        .expect_status(201);

    let (log, away) = (server.data_dir().join("log.db"), server.data_dir().join("away"));
    fs::rename(&log, &away).expect("the file moves");
    let refused = group.post("services", &service("meanwhile")).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    told(&server, "log file").await;
    let doctor = doctor(&server, 1).await;
    assert!(doctor.contains("log.db was removed or replaced"), "{doctor}");

    fs::rename(&away, &log).expect("the file moves");
    well_again(&server).await;
    group.post("services", &service("after")).await.expect_status(201);
    let mut names: Vec<_> = group
        .all("services")
        .await
        .iter()
        .map(|service| service["name"].to_string())
        .collect();
    names.retain(|name| !name.contains("meanwhile"));
    names.sort();
    assert_eq!(names, ["\"after\"", "\"before\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unlinked_log_acknowledges_nothing_and_can_be_saved_from_the_running_server() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    sample_history::write(&server.api()).await;
    let before = group.version().await;
    for name in ["log.db", "log.db-wal"] {
        fs::remove_file(server.data_dir().join(name)).expect("the file goes");
    }
    let refused = group
        .post("services", &json!({ "name": "late", "host": "s.test" }))
        .await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    told(&server, "log file").await;

    let open = format!("/proc/{}/fd", server.pid());
    let mut saved = Vec::new();
    for descriptor in fs::read_dir(open).expect("the process shows what it has open") {
        let descriptor = descriptor.expect("a descriptor").path();
        let Ok(target) = fs::read_link(&descriptor) else {
            continue;
        };
        let target = target.display().to_string();
        for name in ["log.db", "log.db-wal"] {
            if target.ends_with(&format!("/{name} (deleted)")) {
                saved.push((name, fs::read(&descriptor).expect("what is open can be read")));
            }
        }
    }
    server.kill9();
    for (name, bytes) in saved {
        fs::write(server.data_dir().join(name), bytes).expect("the file is put back");
    }
    server.start_again();
    server.ready().await;
    assert!(group.version().await >= before, "what was acknowledged is there");
    let mut arguments = vec!["log".to_owned(), "verify".to_owned()];
    arguments.extend(server.storage_arguments());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    CommandLine::new().run(&arguments).await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_keys_are_told_at_once() {
    let server = ServerProcess::start(Log::Sqlite).await;
    fs::remove_file(server.data_dir().join("keys.db")).expect("the file goes");
    told(&server, "keys file").await;
    let consumer = json!({ "username": "late" });
    let refused = server.api().group("default").post("consumers", &consumer).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_leaves_everything_in_the_files_themselves() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    sample_history::write(&server.api()).await;
    assert!(server.stop().await.success());
    let length = |name: &str| fs::metadata(server.data_dir().join(name)).map_or(0, |file| file.len());
    for name in ["log.db-wal", "keys.db-wal", "views.db-wal"] {
        assert_eq!(length(name), 0, "{name}");
    }
    assert!(length("log.db") > 16 * 1024, "the log is in its file");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_for_their_owner_alone() {
    let server = ServerProcess::start(Log::Sqlite).await;
    sample_history::write(&server.api()).await;
    let made = [
        "log.db",
        "log.db-wal",
        "log.db-shm",
        "keys.db",
        "keys.db-wal",
        "views.db",
        "views.db-wal",
        "views.db-digests",
        "head.json",
        "witness",
        "admin.token",
        "master.key",
    ];
    eventually("every file is made", async || {
        let missing = made.iter().find(|name| !server.data_dir().join(name).exists());
        missing.map_or(Ok(()), Err)
    })
    .await;
    for file in fs::read_dir(server.data_dir()).expect("the directory is readable") {
        let file = file.expect("a file");
        let name = file.file_name().to_string_lossy().into_owned();
        // Instances need it, and it is no secret.
        if name != "ca.pem" {
            let mode = file.metadata().expect("a file").permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{name} has the mode {mode:o}");
        }
    }
    let directory = fs::metadata(server.data_dir()).expect("a directory");
    assert_eq!(directory.permissions().mode() & 0o777, 0o700);
}

/// Waits until `/readyz` says 503 with this condition.
async fn told(server: &ServerProcess, name: &str) {
    let address = format!("{}/readyz", server.url());
    eventually("the loss is told", async || {
        let answer = reqwest::get(&address).await.map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let conditions = body["conditions"].as_array().cloned().unwrap_or_default();
        let told = conditions
            .iter()
            .any(|told| told["name"] == name && told["severity"] == "down");
        if told && status == 503 { Ok(()) } else { Err(text) }
    })
    .await;
}

async fn well_again(server: &ServerProcess) {
    let address = format!("{}/readyz", server.url());
    eventually("the server is ready again", async || {
        let answer = reqwest::get(&address).await.map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(answer.text().await.unwrap_or_default())
        }
    })
    .await;
}

async fn doctor(server: &ServerProcess, code: i32) -> String {
    let mut arguments = vec!["doctor".to_owned()];
    arguments.extend(server.storage_arguments());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    server
        .command_line()
        .run(&arguments)
        .await
        .expect_code(code)
        .stdout()
}
