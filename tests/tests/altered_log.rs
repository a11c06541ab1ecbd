//! A record that was altered, or is missing, in the middle of the log is found by the server itself, without anybody asking:
//! nothing is wrong with what it answers from what it has read, but somebody must know.

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tests::eventually::eventually;
use tests::nats_server::{NatsServer, Options};
use tests::sample_history;
use tests::server_process::{Log, ServerProcess};

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_record_in_the_middle_of_the_log_is_found_while_the_server_runs() {
    let (mut server, position, mut log) = stopped_server().await;
    let bytes: Vec<u8> = sqlx::query_scalar("SELECT bytes FROM record WHERE position = $1")
        .bind(position)
        .fetch_one(&mut log)
        .await
        .expect("a record");
    let mut altered = bytes;
    *altered.last_mut().expect("a byte") ^= 1;
    sqlx::query("UPDATE record SET bytes = $2 WHERE position = $1")
        .bind(position)
        .bind(altered)
        .execute(&mut log)
        .await
        .expect("the record takes it");
    log.close().await.expect("the file closes");
    found_and_told(&mut server, position).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_record_in_the_middle_of_the_log_is_found_while_the_server_runs() {
    let (mut server, position, mut log) = stopped_server().await;
    sqlx::query("DELETE FROM record WHERE position = $1")
        .bind(position)
        .execute(&mut log)
        .await
        .expect("the record goes");
    log.close().await.expect("the file closes");
    found_and_told(&mut server, position).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_log_is_verified_to_its_end_on_every_engine() {
    let nats = NatsServer::start(Options::default()).await;
    for log in [Log::Sqlite, nats.log()] {
        let mut server = ServerProcess::start(log).await;
        sample_history::write(&server.api()).await;
        server.restart().await;
        let ready = server.api().get("/readyz").await.expect_status(200).json();
        let tail = ready["checks"]["log"]["position"].as_u64().expect("a position");
        eventually("the log is verified to where it ended at the start", async || {
            let metrics = server.api().get("/metrics").await.expect_status(200).text();
            let verified = metrics
                .lines()
                .find_map(|line| line.strip_prefix("runtime_manager_log_verified_position "))
                .and_then(|position| position.parse::<u64>().ok());
            match verified {
                Some(position) if position >= tail => Ok(()),
                verified => Err(format!("{verified:?} of {tail}")),
            }
        })
        .await;
        let ready = server.api().get("/readyz").await.expect_status(200).json();
        assert_eq!(ready["status"], "ready");
        assert_eq!(ready["conditions"].as_array().map(Vec::len), Some(0), "{ready}");
    }
}

/// A server that has written a history and was stopped, a position in the middle of its log, and the log's file.
async fn stopped_server() -> (ServerProcess, i64, SqliteConnection) {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    sample_history::write(&server.api()).await;
    assert!(server.stop().await.success());
    let options = SqliteConnectOptions::new().filename(server.data_dir().join("log.db"));
    let mut log = SqliteConnection::connect_with(&options)
        .await
        .expect("the log opens");
    let tail: i64 = sqlx::query_scalar("SELECT max(position) FROM record")
        .fetch_one(&mut log)
        .await
        .expect("a log has records");
    (server, tail / 2, log)
}

async fn found_and_told(server: &mut ServerProcess, position: i64) {
    server.start_again();
    server.ready().await;
    let told = eventually("the fault is told", async || {
        let ready = server.api().get("/readyz").await.expect_status(200).json();
        let conditions = ready["conditions"].as_array().cloned().unwrap_or_default();
        let told = conditions
            .into_iter()
            .find(|told| told["name"] == "log verification");
        told.filter(|_| ready["status"] == "degraded").ok_or(ready)
    })
    .await;
    let named = |text: &str| text.contains(&format!("position {position}"));
    assert!(named(&told.to_string()), "{told}");

    let mut arguments = vec!["doctor".to_owned()];
    arguments.extend(server.storage_arguments());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let doctor = server.command_line().run(&arguments).await.expect_code(1);
    assert!(named(&doctor.stdout()), "{}", doctor.stdout());
    let printed = server.process().printed();
    assert!(named(&printed), "{printed}");
}
