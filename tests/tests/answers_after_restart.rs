//! After a restart an answer is true, or it says why it can't be given yet: whether the views were lost, or are only a moment
//! behind. `ROUNDS` says how often the server is killed (20 unless set).

use std::collections::BTreeMap;

use serde_json::Value;
use tests::api_client::ApiClient;
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};
use tests::workload::Workload;

const GROUP: &str = "/v2/runtime-groups/default";

#[tokio::test(flavor = "multi_thread")]
async fn views_that_were_lost_answer_nothing_until_they_are_whole_again() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let mut workload = Workload::start(&server.api().group("default"), 16);
    workload.progress(3_000).await;
    workload.finish().await;
    let before = answers(&server.api()).await;

    server.kill9();
    server.forget_what_is_derived();
    server.start_again();

    let api = server.api();
    let mut ready = false;
    while !ready {
        server.process().must_run();
        let readiness = reqwest::get(format!("{}/readyz", server.url())).await;
        ready = readiness.is_ok_and(|readiness| readiness.status().is_success());
        for (path, known) in &before {
            let Ok(answer) = api.get(path).attempt().await else {
                continue;
            };
            if answer.status == 503 {
                assert!(!ready, "{path}: not answered although the server is ready");
                let reason = answer.text();
                assert!(reason.contains("read models"), "{reason}");
            } else {
                assert_eq!(answer.expect_status(200).json(), *known, "{path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_answer_after_a_kill_has_everything_acknowledged_before() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let api = server.api();
    let mut workload = Workload::start(&api.group("default"), 16);
    for _ in 0..rounds() {
        workload.progress(100).await;
        server.kill9();
        let acknowledged = workload.acknowledged();
        let newest = acknowledged.iter().map(|change| change.version).max();
        let newest = newest.expect("something was acknowledged");
        server.start_again();
        for path in [GROUP, "/v2/runtime-groups?page[size]=1000"] {
            let answer = eventually("the server answers", async || {
                match api.get(path).attempt().await {
                    Ok(answer) if answer.status == 503 => Err(answer.text()),
                    Ok(answer) => Ok(answer),
                    Err(error) => Err(error.to_string()),
                }
            })
            .await;
            let version = version(&answer.expect_status(200).json());
            assert!(
                version >= newest,
                "{path}: version {version}, but {newest} was acknowledged"
            );
        }
        server.ready().await;
    }
    workload.finish().await;
    let files = std::fs::read_dir(server.data_dir()).expect("the directory is readable");
    let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    let set_aside: Vec<_> = names.filter(|name| name.contains("damaged")).collect();
    assert!(set_aside.is_empty(), "a kill looked like damage: {set_aside:?}");
}

/// What is asked for, and what it answers.
async fn answers(api: &ApiClient) -> BTreeMap<&'static str, Value> {
    let mut answers = BTreeMap::new();
    for path in [
        GROUP,
        "/v2/runtime-groups",
        "/v2/runtime-groups/default/core-entities/services?size=1000",
        "/v2/runtime-groups/default/versions",
        "/v2/runtime-groups/default/core-entities/tags",
        "/v2/tokens",
        "/v2/organizations/me/versions",
        "/v2/organizations/me",
    ] {
        let answer = api.get(path).await.expect_status(200).json();
        answers.insert(path, answer);
    }
    answers
}

/// The version in the answer about a group, or about a list of them.
fn version(answer: &Value) -> u64 {
    let version = answer["version"]
        .as_u64()
        .or_else(|| answer["data"][0]["version"].as_u64());
    version.expect("a group has a version")
}

fn rounds() -> usize {
    std::env::var("ROUNDS").map_or(20, |rounds| rounds.parse().expect("ROUNDS is a number"))
}
