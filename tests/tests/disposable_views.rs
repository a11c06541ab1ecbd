//! The views are a convenience: deleted, or their rebuilding killed, they come back byte for byte.

use std::collections::BTreeMap;

use tests::api_client::ApiClient;
use tests::command_line::CommandLine;
use tests::process::Process;
use tests::sample_history;
use tests::server_process::{Log, ServerProcess};

#[tokio::test]
async fn deleting_the_views_changes_no_answer() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    sample_history::write(&server.api()).await;
    let before = everything_derived(&server.api()).await;

    server.kill9();
    server.forget_what_is_derived();
    server.start_again();
    server.ready().await;

    assert_same(&before, &everything_derived(&server.api()).await);
}

#[tokio::test]
async fn rebuilding_the_views_changes_no_answer() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    sample_history::write(&server.api()).await;
    let before = everything_derived(&server.api()).await;

    assert!(server.stop().await.success(), "an orderly end is a success");
    let arguments = rebuild_arguments(&server);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    CommandLine::new().run(&arguments).await.expect_code(0);
    server.start_again();
    server.ready().await;

    assert_same(&before, &everything_derived(&server.api()).await);
}

#[tokio::test]
async fn killing_a_rebuild_anywhere_changes_no_answer() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    sample_history::write(&server.api()).await;
    let before = everything_derived(&server.api()).await;

    server.stop().await;
    let mut kills = 0;
    let mut looks = 1;
    while cut_short(&server, looks) {
        kills += 1;
        looks *= 2;
    }
    assert!(kills > 0, "at least one rebuild was killed before it ended");
    server.start_again();
    server.ready().await;

    assert_same(&before, &everything_derived(&server.api()).await);
}

/// Starts a rebuild and kills it after looking at it so many times; false when it had ended by then.
fn cut_short(server: &ServerProcess, looks: u32) -> bool {
    let mut command = std::process::Command::new(tests::program::program());
    command.args(rebuild_arguments(server));
    let output = server.data_dir().join("rebuild.log");
    let mut rebuild = Process::start("runtime-manager rebuild", &mut command, &output);
    for _ in 0..looks {
        if let Some(status) = rebuild.exit_status() {
            assert!(
                status.success(),
                "a rebuild after a killed one succeeds:\n{}",
                rebuild.printed()
            );
            return false;
        }
        std::thread::yield_now();
    }
    rebuild.kill9();
    true
}

fn rebuild_arguments(server: &ServerProcess) -> Vec<String> {
    let mut arguments = vec!["rebuild".to_owned()];
    arguments.extend(server.storage_arguments());
    arguments
}

/// Every read of what is derived from the log: the path, and status, tag and body of its answer.
async fn everything_derived(api: &ApiClient) -> BTreeMap<String, String> {
    let group = "/v2/runtime-groups/us-west";
    let mut paths = vec!["/v2/runtime-groups".to_owned(), group.to_owned()];
    for collection in [
        "services",
        "routes",
        "plugins",
        "upstreams",
        "certificates",
        "snis",
        "consumers",
        "key-auths",
    ] {
        paths.push(format!("{group}/core-entities/{collection}?size=3"));
        paths.push(format!("{group}/core-entities/{collection}?size=1000&at=2"));
        paths.push(format!("{group}/core-entities/{collection}?tags=shop"));
    }
    for version in 1..=55 {
        paths.push(format!("{group}/versions/{version}"));
        paths.push(format!("{group}/versions/{version}/config"));
    }
    paths.push(format!("{group}/versions"));
    paths.push(format!("{group}/diff?from=3&to=40"));
    paths.push(format!("{group}/core-entities/services/catalogue?at=20"));
    paths.push(format!("{group}/core-entities/upstreams/orders-backends/targets"));

    let mut answers = BTreeMap::new();
    for path in paths {
        let answer = api.get(&path).await.expect_status(200);
        let tag = answer.header("etag").unwrap_or_default();
        answers.insert(path, format!("{tag} {}", answer.text()));
    }
    answers
}

fn assert_same(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    for (path, answer) in before {
        assert_eq!(Some(answer), after.get(path), "{path}");
    }
}
