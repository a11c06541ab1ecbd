//! go-kong's own test suite against a fresh group's Kong Admin API: what reaches a server of Kong 3.9.1 passes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tests::server_process::{Log, ServerProcess};
use tokio::process::Command;

/// How many tests of go-kong 0.76.1 reach a server of this version.
const REACHING_A_SERVER: usize = 117;

#[tokio::test]
async fn go_kongs_own_tests_pass() {
    let server = ServerProcess::start(Log::Sqlite).await;
    server.api().create_group("go-kong").await;
    let address = format!("{}/groups/go-kong/admin", server.url());

    let report = run(&address, &server.admin_token()).await;

    let failed = report.with(Action::Fail).map(|name| report.said(name));
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "go-kong's tests fail:\n{}", failed.join("\n"));
    let skipped: BTreeSet<_> = report.with(Action::Skip).map(str::to_owned).collect();
    let expected = expected_to_be_skipped();
    let run_now: Vec<_> = expected.difference(&skipped).collect();
    let skipped_now: Vec<_> = skipped.difference(&expected).collect();
    assert!(
        run_now.is_empty(),
        "these run now, so they leave {}: {run_now:?}",
        list().display()
    );
    assert!(skipped_now.is_empty(), "these were run before: {skipped_now:?}");
    let passed = report
        .with(Action::Pass)
        .filter(|name| !name.contains('/'))
        .count();
    assert!(passed >= REACHING_A_SERVER, "only {passed} tests ran");
}

fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/go-kong")
}

fn list() -> PathBuf {
    module().join("skipped.txt")
}

/// The names in the list; after each stands why.
fn expected_to_be_skipped() -> BTreeSet<String> {
    let text = std::fs::read_to_string(list()).expect("the list of skipped tests is here");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, why) = line.split_once(": ").expect("a line is a name and a reason");
            assert!(!why.is_empty(), "{name} needs a reason");
            name.to_owned()
        })
        .collect()
}

/// What became of each test.
#[derive(Debug, Default)]
struct Report {
    actions: BTreeMap<String, Action>,
    output: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Pass,
    Fail,
    Skip,
    #[serde(other)]
    Other,
}

/// A line of `go test -json`; without a test it is about a package.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Line {
    action: Action,
    #[serde(default)]
    package: String,
    test: Option<String>,
    #[serde(default)]
    output: String,
}

impl Report {
    fn read(text: &str) -> Self {
        let mut report = Self::default();
        for line in text.lines() {
            let line: Line = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let of_package = line.test.is_none();
            let name = line.test.unwrap_or(line.package);
            match line.action {
                Action::Other => report.output.entry(name).or_default().push_str(&line.output),
                // A package without tests counts as skipped, one that passed says no more than its tests.
                Action::Pass | Action::Skip if of_package => {}
                action => {
                    report.actions.insert(name, action);
                }
            }
        }
        report
    }

    /// A test's name and what it printed.
    fn said(&self, name: &str) -> String {
        let printed = self.output.get(name).map_or("", String::as_str);
        format!("{name}\n{printed}")
    }

    fn with(&self, wanted: Action) -> impl Iterator<Item = &str> {
        let all = self.actions.iter();
        all.filter(move |(_, action)| **action == wanted)
            .map(|(name, _)| name.as_str())
    }
}

/// Runs the suite against an Admin API.
async fn run(address: &str, token: &str) -> Report {
    let go = std::env::var("GO").unwrap_or_else(|_| "go".to_owned());
    let output = Command::new(&go)
        .current_dir(module())
        .args(["test", "-json", "-count=1", "-p=1", "-mod=readonly"])
        // It asserts that the address is the default one.
        .args(["-skip", "^TestBaseRootURL$", "github.com/kong/go-kong/kong/..."])
        .env("GOFLAGS", "")
        .env("KONG_ADMIN_URL", address)
        .env("KONG_ADMIN_TOKEN", token)
        .kill_on_drop(true)
        .output()
        .await;
    let output = output.unwrap_or_else(|error| {
        panic!("`{go}` can't be run ({error}): install Go 1.25 or newer, or name it in the environment variable GO")
    });
    let report = Report::read(&String::from_utf8_lossy(&output.stdout));
    assert!(
        !report.actions.is_empty(),
        "go test ran nothing: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    report
}
