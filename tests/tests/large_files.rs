//! A large file is applied as one change, and takes a few kB for each entity: in the server, which keeps the configuration, and in the
//! command, which keeps only what it prints.

use std::fmt::Write as _;

use tests::command_line::{CommandLine, Outcome};
use tests::process_usage::peak_resident;
use tests::server_process::{Log, ServerProcess};

/// How many consumers the file has, each with a key.
const CONSUMERS: usize = 5_000;
const ENTITIES: u64 = 2 * CONSUMERS as u64;
/// How much the server may take for each entity at the peak: twice what it does, without the optimizations of a release.
const BYTES_IN_THE_SERVER: u64 = 12 << 10;
/// How much the command may take: as it starts, and for each entity.
const BYTES_IN_THE_COMMAND: u64 = (40 << 20) + ENTITIES * (2 << 10);
/// What `apply` answers with when it made a change.
const CHANGED: i32 = 2;

#[tokio::test]
async fn a_large_file_takes_a_few_kilobytes_for_each_entity() {
    let server = ServerProcess::start(Log::Sqlite).await;
    server.api().create_group("large").await;
    let home = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| home.path().join(name).display().to_string();
    std::fs::write(path("file.yaml"), file()).expect("a file is written");
    let shell = server.command_line().export("XDG_STATE_HOME", &path("state"));
    let idle = peak_resident(server.pid());

    let created = apply(&shell, &path("file.yaml")).await;
    let said = created.stdout();
    assert_eq!(
        said.lines().filter(|line| line.starts_with("+ ")).count() as u64,
        ENTITIES
    );
    assert!(said.contains(&format!("{ENTITIES} created, 0 updated, 0 deleted")));

    let group = server.api().group("large");
    assert_eq!(group.version().await, 1);
    let consumers = group.all("consumers").await;
    assert_eq!(consumers.len(), CONSUMERS, "the views have them all");
    let taken = peak_resident(server.pid()) - idle;
    assert!(
        taken < ENTITIES * BYTES_IN_THE_SERVER,
        "the server took {} bytes for each entity",
        taken / ENTITIES
    );
}

/// Applies a file within the memory that a command may take.
async fn apply(shell: &CommandLine, file: &str) -> Outcome {
    let (outcome, peak) = shell.run_watched(&["apply", file, "--group", "large"]).await;
    let outcome = outcome.expect_code(CHANGED);
    assert!(peak > 0, "the command was seen");
    assert!(peak < BYTES_IN_THE_COMMAND, "the command took {peak} bytes");
    outcome
}

fn file() -> String {
    let mut file = "_format_version: '3.0'\nconsumers:\n".to_owned();
    for number in 0..CONSUMERS {
        let consumer =
            format!("- username: consumer-{number}\n  keyauth_credentials: [{{key: a-key-of-{number}}}]\n");
        file.write_str(&consumer).expect("a string takes it");
    }
    file
}
