//! What an auditor is given: an exported history that `docs/check_history.py` checks without this program, and a replay that
//! agrees with every answer of the server.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::signing::SigningKey;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::command_line::CommandLine;
use tests::long_history::{LIVE_ENTITIES, LongHistory, Shape};
use tests::nats_server::{NatsServer, Options};
use tests::sample_history;
use tests::server_process::{Log, ServerProcess};

/// An exported history of a server, and the key that checks it.
struct Export {
    home: TempDir,
    lines: Vec<String>,
    key: String,
}

impl Export {
    async fn of_a_real_history() -> (Self, ServerProcess) {
        let server = ServerProcess::start(Log::Sqlite).await;
        sample_history::write(&server.api()).await;
        let export = Self::of(&server, "us-west").await;
        (export, server)
    }

    async fn of(server: &ServerProcess, group: &str) -> Self {
        Self::of_versions(server, group, &[]).await
    }

    async fn of_versions(server: &ServerProcess, group: &str, versions: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("the temporary directory is writable");
        let file = home.path().join("history.jsonl");
        let name = file.display().to_string();
        let mut line = vec!["history", "export", "--group", group, &name];
        line.extend(versions);
        server.command_line().run(&line).await.expect_code(0);
        let text = std::fs::read_to_string(&file).expect("the export was written");
        let keys = server
            .api()
            .get("/v2/log/jwks.json")
            .await
            .expect_status(200)
            .json();
        Self {
            home,
            lines: text.lines().map(str::to_owned).collect(),
            key: keys["keys"][0]["x"]
                .as_str()
                .expect("a key set has a key")
                .to_owned(),
        }
    }

    /// What the script says of these lines.
    fn check(&self, lines: &[String]) -> Output {
        let file = self.home.path().join("checked.jsonl");
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        std::fs::write(&file, text).expect("the temporary directory is writable");
        std::process::Command::new("python3")
            .args([script().as_path(), file.as_path()])
            .arg(&self.key)
            .output()
            .expect("python3 is installed")
    }

    /// The line, counted from 1, that the script finds wrong.
    fn wrong_line(&self, lines: &[String]) -> usize {
        let output = self.check(lines);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let number = said
            .strip_prefix("line ")
            .and_then(|said| said.split(':').next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no line is named: {said}"))
    }

    fn last(&self) -> usize {
        self.lines.len() - 1
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/check_history.py")
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).expect("every line is JSON")
}

#[tokio::test]
async fn a_real_export_checks_without_this_program() {
    let (export, server) = Export::of_a_real_history().await;
    let output = export.check(&export.lines);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let newest = server.api().group("us-west").version().await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        said.trim(),
        format!("whole: {newest} changes of us-west, signed by this key")
    );

    let change = parsed(&export.lines[1]);
    assert_eq!(change["version"], 1);
    assert_eq!(change["reason"], "storefront.yaml");
    assert_eq!(change["events"][0]["what"], "entity.created");
    let text = export.lines.concat();
    assert!(!text.contains("PRIVATE KEY"), "secrets are never exported");
    assert!(text.contains("{redacted}"), "but it shows where they are");
}

#[tokio::test]
async fn what_is_altered_dropped_swapped_or_cut_off_is_named() {
    let (_, server) = Export::of_a_real_history().await;
    let export = Export::of_versions(&server, "us-west", &["--from", "3", "--to", "17"]).await;
    let lines = &export.lines;
    for index in 0..lines.len() {
        let mut altered = lines.clone();
        let middle = altered[index].len() / 2;
        let other = if &altered[index][middle..=middle] == "7" {
            "8"
        } else {
            "7"
        };
        altered[index].replace_range(middle..=middle, other);
        assert_eq!(export.wrong_line(&altered), index + 1, "altered {}", index + 1);

        let mut dropped = lines.clone();
        dropped.remove(index);
        let named = export.wrong_line(&dropped);
        // Without the last line, the end is missing after what is the last one now.
        let expected = if index == export.last() { index } else { index + 1 };
        assert_eq!(named, expected, "dropped {}", index + 1);

        if index < export.last() {
            let mut swapped = lines.clone();
            swapped.swap(index, index + 1);
            assert_eq!(export.wrong_line(&swapped), index + 1, "swapped {}", index + 1);
        }
    }
    let cut = &lines[..lines.len() / 2];
    assert_eq!(export.wrong_line(cut), cut.len());
}

#[tokio::test]
async fn a_file_signed_with_another_key_is_not_the_installations() {
    let (export, _server) = Export::of_a_real_history().await;
    let other = SigningKey::from_seed(&[9; 32]);
    let mut forged = export.lines.clone();
    let mut end = parsed(&forged[export.last()]);
    let text = format!(
        "runtime-manager history 1\n{}\n{}\n",
        end["changes"],
        end["previous"].as_str().expect("a digest is a text")
    );
    end["signature"] = json!(other.sign(text.as_bytes()).to_string());
    forged[export.last()] = end.to_string();
    assert_eq!(export.wrong_line(&forged), forged.len());
    assert_eq!(URL_SAFE_NO_PAD.decode(&export.key).map(|key| key.len()), Ok(32));
}

#[tokio::test]
async fn a_deleted_groups_history_and_a_part_of_one_are_exported() {
    let (export, server) = Export::of_a_real_history().await;
    let api = server.api();
    let part = "/v2/control-planes/us-west/history/export?from=3&to=5";
    let part = api.get(part).await.expect_status(200).text();
    let part: Vec<String> = part.lines().map(str::to_owned).collect();
    assert!(export.check(&part).status.success());
    assert_eq!(part.len(), 5);
    assert_eq!(parsed(&part[1])["events"], parsed(&export.lines[3])["events"]);
    let impossible = ["from=0", "from=5&to=3", "to=100000", "from=x"];
    for query in impossible {
        let path = format!("/v2/runtime-groups/us-west/history/export?{query}");
        let status = api.get(&path).await.status.as_u16();
        assert!(status == 400 || status == 404, "{query}: {status}");
    }

    let group = api
        .get("/v2/runtime-groups/us-west")
        .await
        .expect_status(200)
        .json();
    let id = group["id"].as_str().expect("a group has an id").to_owned();
    api.delete("/v2/runtime-groups/us-west").await.expect_status(204);
    let deleted = Export::of(&server, &id).await;
    assert!(deleted.check(&deleted.lines).status.success());
    let sealed = parsed(&deleted.lines[deleted.last() - 1]);
    assert_eq!(sealed["events"][0]["what"], "group.sealed");
}

#[tokio::test]
async fn what_was_erased_is_shown_as_erased() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let body = json!({ "username": "marigold", "custom_id": "4711-x" });
    let consumer = group.post("consumers", &body).await.expect_status(201).json();
    let key = json!({ "key": "open-sesame" });
    group
        .post("consumers/marigold/key-auth", &key)
        .await
        .expect_status(201);
    let before = Export::of(&server, "default").await.lines.concat();
    assert!(before.contains("marigold") && !before.contains("open-sesame"));

    let id = consumer["id"].as_str().expect("a consumer has an id");
    group
        .post(&format!("consumers/{id}/erase"), &json!({}))
        .await
        .expect_status(200);

    let export = Export::of(&server, "default").await;
    assert!(export.check(&export.lines).status.success());
    let after = export.lines.concat();
    for gone in ["marigold", "4711-x", "open-sesame"] {
        assert!(!after.contains(gone), "{gone}");
    }
    assert!(
        after.contains("{erased}") && after.contains("consumer.erased"),
        "{after}"
    );
}

#[tokio::test]
async fn a_replay_beside_the_server_agrees_with_it_at_every_version() {
    agrees_with_every_replay(Log::Sqlite).await;
}

#[tokio::test]
async fn a_replay_of_a_log_in_nats_agrees_with_the_server_at_every_version() {
    let nats = NatsServer::start(Options::default()).await;
    agrees_with_every_replay(nats.log()).await;
}

async fn agrees_with_every_replay(log: Log) {
    let server = ServerProcess::start(log).await;
    sample_history::write(&server.api()).await;
    let group = server.api().group("us-west");
    let newest = group.version().await;
    for version in (0..=newest).step_by(7).chain([newest]) {
        let replayed = replay(&server, &["--until", &version.to_string(), "--format", "json"]).await;
        let replayed = parsed(&replayed);
        assert_eq!(replayed["version"], version);
        if version > 0 {
            assert_eq!(
                replayed["digest"],
                group.digest(version).await,
                "version {version}"
            );
        }
        let at = group.get(&format!("services?at={version}&size=1000")).await;
        let at = at.expect_status(200).json();
        let services = replayed["entities"]["services"].as_array().map_or(0, Vec::len);
        assert_eq!(
            at["data"].as_array().map(Vec::len),
            Some(services),
            "version {version}"
        );
    }
    let summary = replay(&server, &[]).await;
    assert!(summary.contains(&group.digest(newest).await), "{summary}");
    let deck = replay(&server, &["--format", "deck"]).await;
    assert!(deck.contains("_format_version"), "{deck}");
}

async fn replay(server: &ServerProcess, arguments: &[&str]) -> String {
    let storage = server.storage_arguments();
    let mut line = vec!["replay", "--group", "us-west"];
    line.extend(arguments);
    line.extend(storage.iter().map(String::as_str));
    CommandLine::new().run(&line).await.expect_code(0).stdout()
}

/// How many changes the long history has; twice as many as services live unless told otherwise.
const LONG_HISTORY: &str = "EXPORTED_CHANGES";

/// The most memory the server has had since the peak was reset, in KiB.
fn peak(server: &ServerProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse().ok());
    number.expect("Linux tells the peak")
}

/// What an export took: how many changes and KiB it has, and how much memory the server had at most meanwhile, in KiB.
#[derive(Debug)]
struct Taken {
    changes: u64,
    size: u64,
    memory: u64,
}

/// Exports a history's changes up to one of them.
async fn exported(server: &ServerProcess, group: &str, to: u64) -> Taken {
    let home = tempfile::tempdir().expect("the temporary directory is writable");
    let file = home.path().join("history.jsonl");
    let (name, to) = (file.display().to_string(), to.to_string());
    let reset = format!("/proc/{}/clear_refs", server.pid());
    std::fs::write(reset, "5").expect("one's own process may be asked");
    let line = ["history", "export", "--group", group, &name, "--to", &to];
    server.command_line().run(&line).await.expect_code(0);
    let memory = peak(server);
    let written = std::fs::File::open(&file).expect("the export was written");
    let size = written.metadata().expect("it has a size").len() / 1024;
    let lines = std::io::BufReader::new(written).lines().count() as u64;
    // The first line says what it is, the last is the signature.
    let changes = lines - 2;
    Taken {
        changes,
        size,
        memory,
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::print_stderr,
    reason = "what was measured is what a long history is asked for"
)]
async fn the_export_of_a_history_takes_the_same_memory_however_long_it_is() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().create_group("long").await;
    server.stop().await;
    let changes =
        std::env::var(LONG_HISTORY).map_or(2 * LIVE_ENTITIES, |text| text.parse().expect("a number"));
    let history = LongHistory {
        group: serde_json::from_value(group["id"].clone()).expect("a group has an id"),
        shape: Shape::Updates,
        events: changes,
        changes_per_commit: 100,
    };
    history.write_to(&server).await.expect("the log takes it");
    server.start_again();
    server.ready().await;
    let half = exported(&server, "long", changes / 2).await;
    let whole = exported(&server, "long", changes).await;
    eprintln!("an export of {changes} changes: {half:?}, {whole:?}");
    assert_eq!((half.changes, whole.changes), (changes / 2, changes));
    assert!(
        whole.size > half.size + 8 * 1024,
        "{} KiB are no test",
        whole.size
    );
    assert!(
        whole.memory < half.memory + 12 * 1024,
        "twice as many changes took more memory: {half:?}, {whole:?}"
    );
}
