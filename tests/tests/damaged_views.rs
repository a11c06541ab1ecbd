//! Whatever happens to the file of the views, no answer is ever wrong: the damage is found before anything is read from it, the
//! file is set aside, and the views are made again. `SEEDS` says how many kinds of damage are tried (10 unless set).

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tests::api_client::ApiClient;
use tests::command_line::{CommandLine, Outcome};
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};

const PAGE: u64 = 4096;

#[tokio::test(flavor = "multi_thread")]
async fn damage_of_a_stopped_servers_views_never_changes_an_answer() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    write_history(&server.api()).await;
    for seed in 0..seeds() {
        let mut dice = Dice::of(seed);
        let change = json!({ "host": format!("before-{seed}.test") });
        let group = server.api().group("default");
        group.patch("services/s9", &change).await.expect_status(200);
        let known = answers(&server.api()).await;
        // What was written last stands in the write-ahead log only, unless the end was in order.
        if seed % 2 == 0 {
            assert!(server.stop().await.success());
        } else {
            server.kill9();
        }
        let damage = damage(&server.data_dir(), &mut dice);
        let damage = format!("seed {seed}, {damage}");

        server.start_again();
        never_wrong_until_ready(&mut server, &known, &damage).await;
        assert_eq!(answers(&server.api()).await, known, "{damage}");
        server.restart().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_damaged_is_set_aside_and_told() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    write_history(&server.api()).await;
    let known = answers(&server.api()).await;
    assert!(server.stop().await.success());
    overwrite(&views(&server), 3 * PAGE + 100, &[0x5a; 16]);

    let doctor = run(&server, "doctor").await.expect_code(1);
    assert!(
        doctor.stdout().contains("views.db is damaged: its page 4"),
        "{}",
        doctor.stdout()
    );
    server.start_again();
    server.ready().await;
    assert_eq!(answers(&server.api()).await, known);

    let aside = set_aside(&server);
    assert_eq!(aside.len(), 1, "{aside:?}");
    let ready = server.api().get("/readyz").await.expect_status(200).json();
    let told = &ready["conditions"][0];
    assert_eq!(
        (&told["name"], &told["severity"]),
        (&json!("views file"), &json!("notice"))
    );
    assert!(told["reason"].to_string().contains("its page 4"), "{told}");
    let doctor = run(&server, "doctor").await.expect_code(0);
    assert!(
        doctor.stdout().contains("views.db was damaged"),
        "{}",
        doctor.stdout()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_views_are_rebuilt() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    write_history(&server.api()).await;
    let known = answers(&server.api()).await;
    assert!(server.stop().await.success());
    overwrite(&views(&server), 0, &[0; 64]);

    run(&server, "rebuild").await.expect_code(0);
    assert_eq!(set_aside(&server).len(), 1);
    server.start_again();
    server.ready().await;
    assert_eq!(answers(&server.api()).await, known);
    assert_eq!(set_aside(&server).len(), 1, "what was rebuilt is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_views_are_damaged_under_it_ends_and_makes_them_again() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    write_history(&server.api()).await;
    let known = answers(&server.api()).await;
    // What was written is in the file itself from now on.
    assert!(server.stop().await.success());
    server.start_again();
    server.ready().await;

    let pages = views(&server).metadata().expect("a file").len() / PAGE;
    for page in 1..pages {
        overwrite(&views(&server), page * PAGE + 8, &[0x33; 32]);
    }
    let status = eventually("the server ends", async || {
        server.process().exit_status().ok_or("it runs")
    })
    .await;
    assert!(!status.success(), "an end that somebody should look at");
    let printed = server.process().printed();
    assert!(printed.contains("the views are damaged"), "{printed}");
    server.start_again();
    server.ready().await;
    assert_eq!(answers(&server.api()).await, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_that_are_removed_under_a_server_are_made_again() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    write_history(&server.api()).await;
    let known = answers(&server.api()).await;

    fs::remove_file(views(&server)).expect("the views can be removed");
    let status = eventually("the server ends", async || {
        server.process().exit_status().ok_or("it runs")
    })
    .await;
    assert!(!status.success(), "an end that somebody should look at");
    server.start_again();
    server.ready().await;
    assert_eq!(answers(&server.api()).await, known);
}

/// Enough for many pages: services with tags, consumers with keys, and some changes of them.
async fn write_history(api: &ApiClient) {
    let group = api.group("default");
    let services: String = (0..300)
        .map(|number| {
            format!(
                "- {{ name: s{number}, host: s{number}.test, tags: [all, t{}] }}\n",
                number % 7
            )
        })
        .collect();
    let consumers: String = (0..100)
        .map(|number| {
            format!("- {{ username: c{number}, keyauth_credentials: [{{ key: the-key-of-{number} }}] }}\n")
        })
        .collect();
    let file = format!("_format_version: \"3.0\"\nservices:\n{services}consumers:\n{consumers}");
    group.apply(&file, "").await.expect_status(200);
    for number in 0..40 {
        let change = json!({ "host": format!("changed-{number}.test") });
        group
            .patch(&format!("services/s{number}"), &change)
            .await
            .expect_status(200);
    }
}

/// What is asked for, and what it answers.
async fn answers(api: &ApiClient) -> BTreeMap<&'static str, Value> {
    let mut answers = BTreeMap::new();
    for path in PATHS {
        answers.insert(path, api.get(path).await.expect_status(200).json());
    }
    answers
}

const PATHS: [&str; 13] = [
    "/v2/runtime-groups?page[size]=1000",
    "/v2/runtime-groups/default",
    "/v2/runtime-groups/default/core-entities/services?size=1000",
    "/v2/runtime-groups/default/core-entities/services?size=1000&at=1",
    "/v2/runtime-groups/default/core-entities/services?size=1000&tags=t3",
    "/v2/runtime-groups/default/core-entities/services/s7",
    "/v2/runtime-groups/default/core-entities/consumers?size=1000",
    "/v2/runtime-groups/default/core-entities/key-auths?size=1000",
    "/v2/runtime-groups/default/core-entities/tags?size=1000",
    "/v2/runtime-groups/default/versions",
    "/v2/runtime-groups/default/versions/17",
    "/v2/runtime-groups/default/diff?from=1&to=20",
    "/v2/tokens",
];

async fn never_wrong_until_ready(
    server: &mut ServerProcess,
    known: &BTreeMap<&'static str, Value>,
    damage: &str,
) {
    let api = server.api();
    loop {
        server.process().must_run();
        let readiness = reqwest::get(format!("{}/readyz", server.url())).await;
        let ready = readiness.is_ok_and(|readiness| readiness.status().is_success());
        for (path, known) in known {
            match api.get(path).attempt().await {
                Ok(answer) if answer.status == 503 => assert!(!ready, "{damage}: {path} isn't answered"),
                Ok(answer) => assert_eq!(answer.expect_status(200).json(), *known, "{damage}: {path}"),
                Err(_) => assert!(!ready, "{damage}: {path} isn't answered"),
            }
        }
        if ready {
            return;
        }
    }
}

/// Does something to the views' files and says what.
fn damage(directory: &Path, dice: &mut Dice) -> String {
    let views = directory.join("views.db");
    let log = directory.join("views.db-wal");
    let bytes = views.metadata().expect("the views are there").len();
    let pages = bytes / PAGE;
    match dice.below(8) {
        0 | 1 => {
            let place = dice.below(bytes - 16);
            overwrite(&views, place, &dice.bytes(16));
            format!("16 bytes at {place}")
        }
        2 => {
            let page = dice.below(pages);
            overwrite(&views, page * PAGE, &[0; PAGE as usize]);
            format!("page {page} of zeros")
        }
        3 => {
            let (one, other) = (dice.below(pages), dice.below(pages));
            let (first, second) = (read(&views, one * PAGE), read(&views, other * PAGE));
            overwrite(&views, one * PAGE, &second);
            overwrite(&views, other * PAGE, &first);
            format!("pages {one} and {other} exchanged")
        }
        4 => {
            let length = dice.below(bytes);
            resize(&views, length);
            format!("cut to {length} bytes")
        }
        5 => {
            let place = dice.below(bytes);
            let mut byte = read(&views, place - place % PAGE);
            let at = (place % PAGE) as usize;
            byte[at] ^= 1 << dice.below(8);
            overwrite(&views, place, &byte[at..=at]);
            format!("a bit at {place}")
        }
        6 => {
            overwrite(
                &directory.join("views.db-digests"),
                dice.below(400),
                &dice.bytes(16),
            );
            "the digests".to_owned()
        }
        _ => match log.metadata() {
            Ok(metadata) if metadata.len() > 64 => {
                let place = dice.below(metadata.len() - 16);
                overwrite(&log, place, &dice.bytes(16));
                format!("16 bytes of the write-ahead log at {place}")
            }
            _ => {
                resize(&views, bytes + PAGE);
                "a page too many".to_owned()
            }
        },
    }
}

fn overwrite(path: &Path, place: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).expect("the file opens");
    file.write_all_at(bytes, place).expect("the file takes bytes");
}

fn read(path: &Path, place: u64) -> Vec<u8> {
    let mut bytes = vec![0; PAGE as usize];
    let file = fs::File::open(path).expect("the file opens");
    file.read_exact_at(&mut bytes, place)
        .expect("the file has a page there");
    bytes
}

fn resize(path: &Path, length: u64) {
    let file = OpenOptions::new().write(true).open(path).expect("the file opens");
    file.set_len(length).expect("the file changes its length");
}

fn views(server: &ServerProcess) -> PathBuf {
    server.data_dir().join("views.db")
}

fn set_aside(server: &ServerProcess) -> Vec<String> {
    let files = fs::read_dir(server.data_dir()).expect("the directory is readable");
    let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with("views.db.damaged-") && !name.ends_with("-wal"))
        .collect()
}

async fn run(server: &ServerProcess, command: &str) -> Outcome {
    let mut arguments = vec![command.to_owned()];
    arguments.extend(server.storage_arguments());
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    CommandLine::of(&server.url(), &server.admin_token())
        .run(&arguments)
        .await
}

/// Numbers that look as if they were thrown, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn of(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

fn seeds() -> u64 {
    std::env::var("SEEDS").map_or(10, |seeds| seeds.parse().expect("SEEDS is a number"))
}
