//! From one version of the program to the next and back: what an older one left is opened and answered right, processes of both
//! versions work beside each other, and looking changes nothing.
//!
//! `OLD_PROGRAM=/path/to/an/older/runtime-manager tests/run upgrade` rehearses the upgrade of a cluster under load, forwards and
//! back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use domain::Digest;
use serde_json::{Value, json};
use tests::cluster::Cluster;
use tests::command_line::CommandLine;
use tests::program;
use tests::server_process::{Log, ServerProcess};
use tests::settable_machine::{MACHINE, SettableMachine};
use tests::steady_load::SteadyLoad;

/// When the older program left its installation, in seconds since the epoch.
const LEFT_AT: i64 = 1_796_059_745;

/// An installation as an older program left it, what it answered then, and the time it was.
struct OlderInstallation {
    server: ServerProcess,
    folder: PathBuf,
    _home: tempfile::TempDir,
}

impl OlderInstallation {
    fn restored() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/older-installation");
        let home = tempfile::tempdir().expect("the temporary directory is writable");
        let machine = SettableMachine::new(home.path().join("machine.json"));
        machine.set_ahead(LEFT_AT + 60 - machine.true_time());
        let server = ServerProcess::prepare(Log::Sqlite)
            .with_program(program::example("serve_under_a_clock"))
            .with_environment(MACHINE, &machine.file().display().to_string());
        fs::set_permissions(server.data_dir(), fs::Permissions::from_mode(0o700)).expect("it is ours");
        for file in fs::read_dir(folder.join("data")).expect("the fixture is readable") {
            let file = file.expect("a file");
            let copy = server.data_dir().join(file.file_name());
            fs::copy(file.path(), &copy).expect("a file is copied");
            fs::set_permissions(copy, fs::Permissions::from_mode(0o600)).expect("it is ours");
        }
        Self {
            server,
            folder,
            _home: home,
        }
    }

    fn said(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).expect("what it answered is kept")
    }

    /// Everything that was answered then is answered now; more may be.
    async fn assert_answers_as_before(&self) {
        let group = self.server.api().group("us-west");
        let before: Value = serde_json::from_str(&self.said("versions.json")).expect("JSON");
        let before = before["data"].as_array().expect("a list").iter().rev();
        let now = group.history_after(0).await;
        for (before, now) in before.zip(&now) {
            for (field, value) in before.as_object().expect("a change") {
                assert_eq!(&now[field], value, "{field} of change {}", before["version"]);
            }
        }
        let dump = ["dump", "--group", "us-west"];
        let dump = self
            .server
            .command_line()
            .run(&dump)
            .await
            .expect_code(0)
            .stdout();
        assert_eq!(dump, self.said("dump.yaml"));
        let reader = self.server.api_as(self.said("reader.token").trim());
        let groups = reader.get("/v2/runtime-groups").await.expect_status(200).json();
        let names = |groups: &Value| -> Vec<String> {
            let items = groups["data"]
                .as_array()
                .or(groups["items"].as_array())
                .expect("a list");
            items.iter().map(|group| group["name"].to_string()).collect()
        };
        let before: Value = serde_json::from_str(&self.said("groups.json")).expect("JSON");
        assert_eq!(names(&groups), names(&before));
    }
}

#[tokio::test]
async fn what_an_older_program_left_is_opened_and_answered_right() {
    let mut older = OlderInstallation::restored();
    older.server.start_again();
    older.server.ready().await;
    older.assert_answers_as_before().await;

    // Its requests are still known, and its history goes on.
    let group = older.server.api().group("us-west");
    let before = group.version().await;
    let body = json!({ "name": "keyed", "host": "keyed.test" });
    let again = group
        .put("services/keyed", &body)
        .header("idempotency-key", "from-before");
    assert!(again.await.status.is_success());
    assert_eq!(group.version().await, before, "the request is known");
    let written = group
        .put("services/later", &json!({ "host": "later.test" }))
        .await;
    assert_eq!(written.group_version(), before + 1);

    // So it is when the views are made again from the log.
    older.server.stop().await;
    older.server.forget_what_is_derived();
    older.server.start_again();
    older.server.ready().await;
    let history = older.server.api().group("us-west").history_after(0).await;
    assert_eq!(history.len() as u64, before + 1);
}

#[tokio::test]
async fn doctor_changes_nothing() {
    let older = OlderInstallation::restored();
    let untouched = files(&older.server.data_dir());
    look_at(&older.server).await;
    assert_eq!(
        files(&older.server.data_dir()),
        untouched,
        "what an older program left"
    );

    let mut server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let made = group.put("services/one", &json!({ "host": "one.test" })).await;
    assert!(made.status.is_success());
    server.kill9();
    let before = files(&server.data_dir());
    look_at(&server).await;
    assert_eq!(files(&server.data_dir()), before, "what a killed process left");
    fs::remove_file(server.data_dir().join("views.db")).expect("it goes");
    let before = files(&server.data_dir());
    look_at(&server).await;
    assert_eq!(files(&server.data_dir()), before, "views aren't made by looking");
}

/// What it says is for another test: a clock that differs from the fixture's is said too.
async fn look_at(server: &ServerProcess) {
    let mut arguments = vec!["doctor".to_owned()];
    arguments.extend(server.storage_arguments());
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let looked = CommandLine::new().run(&arguments).await;
    let said = looked.stdout();
    assert!(
        said.contains("none runs on this data directory") && said.contains("whole: "),
        "{said}{}",
        looked.stderr()
    );
}

/// Every file with its content, but for what SQLite's readers leave behind to find each other: an index in shared memory, and
/// a write-ahead log with nothing in it.
fn files(directory: &Path) -> BTreeMap<String, Digest> {
    let mut files = BTreeMap::new();
    for file in fs::read_dir(directory).expect("the directory is readable") {
        let file = file.expect("a file");
        let (name, content) = (file.file_name(), fs::read(file.path()).expect("a readable file"));
        let name = name.to_string_lossy().into_owned();
        let left_by_readers = name.ends_with("-shm") || (name.ends_with("-wal") && content.is_empty());
        if !left_by_readers {
            files.insert(name, Digest::of(&content));
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs OLD_PROGRAM, an older runtime-manager: tests/run includes it when that is set"]
async fn a_cluster_is_upgraded_and_downgraded_under_load_and_nobody_notices() {
    let Some(old) = std::env::var_os("OLD_PROGRAM").map(PathBuf::from) else {
        return;
    };
    let mut cluster = Cluster::start_with(&["--drain-seconds=2"], Some(&old)).await;
    let load = SteadyLoad::start(&cluster);
    load.goes_on().await;
    for program in [None, Some(old.clone()), None] {
        for index in 0..cluster.size() {
            assert!(cluster.server(index).stop().await.success(), "an orderly end");
            load.goes_on().await;
            cluster.server(index).replace_program(program.clone());
            cluster.server(index).start_again();
            cluster.server(index).ready().await;
            cluster.all_balanced().await;
            load.goes_on().await;
            for group in cluster.group_everywhere("default") {
                group.get("services?size=1").await.expect_status(200);
            }
        }
    }
    let answered = load.finish().await;
    assert!(answered > 0, "{answered}");
}
