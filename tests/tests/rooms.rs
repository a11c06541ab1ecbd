//! The workspace keeps the shape of DESIGN §3: rooms whose arrows run one way, nothing else at the top level, files named after
//! the thing they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each room and the rooms it may import.
const ARROWS: [(&str, &[&str]); 7] = [
    ("domain", &[]),
    ("migrations", &[]),
    ("commands", &["domain", "migrations"]),
    ("projections", &["domain", "migrations"]),
    ("dataplane-sync", &["domain", "projections"]),
    (
        "api",
        &[
            "domain",
            "migrations",
            "commands",
            "projections",
            "dataplane-sync",
        ],
    ),
    (
        "tests",
        &[
            "domain",
            "migrations",
            "commands",
            "projections",
            "dataplane-sync",
            "api",
        ],
    ),
];

/// What else may lie at the top level, beside the rooms and the dotfiles that hold the settings of tools.
const BESIDE_THE_ROOMS: [&str; 5] = ["Cargo.toml", "Cargo.lock", "README.md", "docs", "deploy"];

/// Names that say nothing about what a file holds.
const NAMES_WITHOUT_MEANING: [&str; 8] = [
    "util", "utils", "common", "helper", "helpers", "misc", "manager", "managers",
];

/// A second TLS stack or a second provider of cryptography, by the names of their libraries.
const BANNED: [&str; 4] = ["openssl", "openssl_sys", "native_tls", "ring"];

#[test]
fn every_room_imports_only_what_its_arrows_allow() {
    let rooms: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let packages = workspace_packages(&metadata());

    let found: BTreeSet<&str> = packages.iter().map(|package| text(package, "name")).collect();
    assert_eq!(
        found,
        rooms.keys().copied().collect(),
        "the members of the workspace are the rooms"
    );

    for package in &packages {
        let room = text(package, "name");
        for dependency in package["dependencies"]
            .as_array()
            .expect("cargo metadata lists dependencies")
        {
            let imported = text(dependency, "name");
            assert!(
                !rooms.contains_key(imported) || rooms[room].contains(&imported),
                "{room} imports {imported}: what it needs of that room is a trait in domain, handed in by api"
            );
        }
    }
}

#[test]
fn api_holds_the_only_program() {
    let programs: Vec<(String, String)> = workspace_packages(&metadata())
        .iter()
        .flat_map(|package| {
            let targets = package["targets"]
                .as_array()
                .expect("cargo metadata lists targets")
                .clone();
            let room = text(package, "name").to_owned();
            targets
                .into_iter()
                .filter(|target| target["kind"] == serde_json::json!(["bin"]))
                .map(move |target| (room.clone(), text(&target, "name").to_owned()))
        })
        .collect();
    assert_eq!(programs, [("api".to_owned(), "runtime-manager".to_owned())]);
}

#[test]
fn the_top_level_holds_rooms_and_settings_only() {
    let ignored = std::fs::read_to_string(root().join(".gitignore")).expect(".gitignore is readable");
    let ignored: BTreeSet<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('/'))
        .collect();
    let strangers: Vec<String> = names_in(&root())
        .into_iter()
        .filter(|name| !name.starts_with('.') && !ignored.contains(name.as_str()))
        .filter(|name| {
            !ARROWS.iter().any(|(room, _)| room == name) && !BESIDE_THE_ROOMS.contains(&name.as_str())
        })
        .collect();
    assert!(
        strangers.is_empty(),
        "what belongs to a room goes there: {strangers:?}"
    );
}

#[test]
fn every_file_is_named_after_what_it_holds() {
    let mut nameless = Vec::new();
    for (room, _) in ARROWS {
        collect_nameless(&root().join(room), &mut nameless);
    }
    assert!(
        nameless.is_empty(),
        "these names say nothing about the contents: {nameless:?}"
    );
}

#[test]
fn one_tls_stack_and_one_provider_of_cryptography() {
    // What is really built: `cargo metadata` also names what only a feature that nobody switched on would bring.
    let built = cargo(&[
        "tree",
        "--workspace",
        "--locked",
        "--target",
        "all",
        "--prefix",
        "none",
        "--format",
        "{lib}",
    ]);
    let built: BTreeSet<&str> = built.lines().collect();
    assert!(
        built.contains("aws_lc_rs"),
        "the tree names crates as `cargo tree` does"
    );
    let banned: Vec<&str> = BANNED.into_iter().filter(|name| built.contains(name)).collect();
    assert!(
        banned.is_empty(),
        "rustls with aws-lc-rs is the one stack: {banned:?}"
    );
}

fn metadata() -> Value {
    let printed = cargo(&["metadata", "--format-version", "1", "--locked", "--no-deps"]);
    serde_json::from_str(&printed).expect("cargo metadata prints JSON")
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("cargo prints text")
}

fn workspace_packages(metadata: &Value) -> Vec<Value> {
    let members = metadata["workspace_members"]
        .as_array()
        .expect("cargo metadata lists members");
    let packages = metadata["packages"]
        .as_array()
        .expect("cargo metadata lists packages");
    packages
        .iter()
        .filter(|package| members.contains(&package["id"]))
        .cloned()
        .collect()
}

fn collect_nameless(folder: &Path, nameless: &mut Vec<PathBuf>) {
    for name in names_in(folder) {
        let path = folder.join(&name);
        let stem = name.split('.').next().unwrap_or_default();
        if NAMES_WITHOUT_MEANING.contains(&stem) {
            nameless.push(path.clone());
        }
        if path.is_dir() {
            collect_nameless(&path, nameless);
        }
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| {
            entry
                .expect("a folder's entry is readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field]
        .as_str()
        .unwrap_or_else(|| panic!("cargo metadata has no text {field}"))
}

/// The root of the workspace.
fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the room lies in the workspace").to_owned()
}
