//! `deploy/` and `docs/operations.md` name only what exists: settings and flags of the program, its messages and metrics, the chart's
//! own values.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tests::command_line::CommandLine;
use tests::runbook;

/// The rooms whose sources the program is built from.
const ROOMS: [&str; 5] = ["domain", "commands", "projections", "dataplane-sync", "api"];

#[test]
fn every_yaml_file_can_be_read() {
    let files: Vec<PathBuf> = deploy_files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|kind| kind == "yaml"))
        .filter(|path| !is_template(path))
        .collect();
    assert!(files.len() >= 3, "compose, chart and values are among {files:?}");
    for path in files {
        yaml(&path);
    }
}

#[test]
fn the_compose_file_publishes_on_loopback_only() {
    let compose = yaml(&runbook::root().join("deploy/compose/compose.yaml"));
    let services = compose["services"].as_object().expect("there are services");
    let published: Vec<&str> = services
        .values()
        .filter_map(|service| service["ports"].as_array())
        .flatten()
        .map(|port| port.as_str().expect("a port is written as a text"))
        .collect();
    assert!(!published.is_empty(), "the proxy is published");
    for port in published {
        assert!(port.starts_with("127.0.0.1:"), "{port}");
    }
}

#[test]
fn the_image_is_built_with_the_rust_that_the_workspace_asks_for() {
    let manifest = read(&runbook::root().join("Cargo.toml"));
    let asked = manifest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "))
        .expect("the workspace names its Rust");
    let dockerfile = read(&runbook::root().join("deploy/docker/Dockerfile"));
    let used = format!("ARG RUST_VERSION={}", asked.trim_matches('"'));
    assert!(dockerfile.lines().any(|line| line == used), "{used}");
}

#[tokio::test]
async fn every_variable_is_one_that_the_program_reads() {
    let known: BTreeSet<String> = helps().await.values().flat_map(|help| variables(help)).collect();
    assert!(known.contains("RUNTIME_MANAGER_DATA_DIR"), "{known:?}");
    for (path, text) in documents() {
        for variable in variables(&text) {
            assert!(
                known.contains(&variable),
                "{}: the program doesn't read {variable}",
                path.display()
            );
        }
    }
}

#[tokio::test]
async fn every_flag_is_one_that_the_program_takes() {
    let helps = helps().await;
    let known: BTreeSet<String> = helps.values().flat_map(|help| flags(help)).collect();
    for (path, text) in documents() {
        let in_code = text.split('`').skip(1).step_by(2);
        for flag in in_code.filter(|code| code.starts_with("--")).flat_map(flags) {
            assert!(
                known.contains(&flag),
                "{}: no command takes {flag}",
                path.display()
            );
        }
        for command in text
            .lines()
            .filter_map(|line| line.strip_prefix("$ runtime-manager "))
        {
            let name = spoken_command(command, &helps);
            assert!(
                !name.is_empty(),
                "{}: there is no command {command}",
                path.display()
            );
        }
        for command in commands(&text) {
            let name = spoken_command(&command, &helps);
            if name.is_empty() {
                // A user, a group or an image of this name.
                continue;
            }
            let taken = flags(&helps[&name]);
            for flag in flags(&command) {
                assert!(
                    taken.contains(&flag),
                    "{}: `{name}` doesn't take {flag}: {command}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_alarm_is_one_that_the_program_raises() {
    let sources = one_line(&sources());
    let text = runbook::text();
    let (_, alarms) = text
        .split_once("## What each alarm means")
        .expect("the guide explains alarms");
    let messages: Vec<&str> = alarms
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|row| row.split(" | ").next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    assert!(messages.len() > 50, "the tables are found: {messages:?}");
    for message in messages {
        for piece in message
            .split('…')
            .map(|piece| piece.trim_matches([' ', ',', ':']))
        {
            assert!(sources.contains(piece), "nothing says {piece:?}");
        }
    }
}

#[test]
fn the_guide_lists_exactly_the_metrics_that_are_measured() {
    let sources = sources();
    let emitted: BTreeSet<&str> = ["counter!(\"", "gauge!(\"", "histogram!(\""]
        .into_iter()
        .flat_map(|macro_name| sources.split(macro_name).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    let text = runbook::text();
    let (_, chapter) = text
        .split_once("## Metrics and alerts")
        .expect("the guide lists metrics");
    let listed: BTreeSet<&str> = chapter
        .lines()
        .skip_while(|line| *line != "| metric | counts |")
        .skip(2)
        .map_while(|row| row.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(listed, emitted);
}

#[test]
fn the_chart_uses_every_value_and_no_other() {
    let chart = runbook::root().join("deploy/helm/runtime-manager");
    let values = yaml(&chart.join("values.yaml"));
    let used: BTreeSet<String> = deploy_files()
        .iter()
        .filter(|path| is_template(path))
        .flat_map(|path| values_in(&read(path)))
        .collect();
    for path in &used {
        let pointer = format!("/{}", path.replace('.', "/"));
        assert!(
            values.pointer(&pointer).is_some(),
            "values.yaml doesn't explain {path}"
        );
    }
    for path in leaves("", &values) {
        let is_used = used
            .iter()
            .any(|used| path == *used || path.starts_with(&format!("{used}.")));
        assert!(is_used, "no template uses {path}");
    }
}

/// The help of every command, by its name: `serve`, `log export`.
async fn helps() -> BTreeMap<String, String> {
    let mut helps = BTreeMap::new();
    let mut unread = vec![String::new()];
    while let Some(name) = unread.pop() {
        let mut words: Vec<&str> = name.split(' ').filter(|word| !word.is_empty()).collect();
        words.push("--help");
        let help = CommandLine::new().run(&words).await.expect_code(0).stdout();
        let listed = help
            .lines()
            .skip_while(|line| *line != "Commands:")
            .skip(1)
            .take_while(|line| !line.is_empty());
        let below = listed
            .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
            .filter(|word| !word.is_empty() && *word != "help");
        unread.extend(below.map(|word| format!("{name} {word}").trim().to_owned()));
        helps.insert(name, help);
    }
    helps
}

/// Everything that is written for those who operate the program.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = deploy_files();
    paths.push(runbook::root().join("docs/operations.md"));
    paths
        .into_iter()
        .map(|path| {
            let text = read(&path);
            (path, text)
        })
        .collect()
}

fn deploy_files() -> Vec<PathBuf> {
    files_in(&runbook::root().join("deploy"))
}

fn is_template(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "templates")
}

/// The sources of the rooms, one after the other.
fn sources() -> String {
    ROOMS
        .into_iter()
        .flat_map(|room| files_in(&runbook::root().join(room).join("src")))
        .filter(|path| path.extension().is_some_and(|kind| kind == "rs"))
        .map(|path| read(&path))
        .collect()
}

fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.expect("a directory can be read to its end").path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else if path.file_name().is_some_and(|name| name != ".env") {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(path: &Path) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A source's string literals as they are printed: what continues on another line is joined.
fn one_line(sources: &str) -> String {
    let mut lines = sources.split("\\\n");
    let mut joined = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        joined.push_str(line.trim_start());
    }
    joined
}

fn variables(text: &str) -> BTreeSet<String> {
    let is_outside = |letter: char| !(letter.is_ascii_uppercase() || letter == '_');
    text.split(is_outside)
        .filter(|word| word.starts_with("RUNTIME_MANAGER_") && !word.ends_with('_'))
        .map(str::to_owned)
        .collect()
}

fn flags(text: &str) -> BTreeSet<String> {
    let is_outside = |letter: char| !(letter.is_ascii_lowercase() || letter == '-');
    text.split(is_outside)
        .filter(|word| {
            word.strip_prefix("--")
                .is_some_and(|name| !name.is_empty() && !name.starts_with('-'))
        })
        .map(str::to_owned)
        .collect()
}

/// What stands after `runtime-manager` on a command's line, up to where the shell goes on with something else.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let mut commands = Vec::new();
    for line in joined.lines() {
        for after in line.split("runtime-manager ").skip(1) {
            let command = after
                .split(['`', '|', ';', '&', '#', '"'])
                .next()
                .unwrap_or_default();
            commands.push(command.trim().to_owned());
        }
    }
    commands
}

/// The longest name of a command that the words begin with; empty if they begin with none.
fn spoken_command(command: &str, helps: &BTreeMap<String, String>) -> String {
    let mut spoken = String::new();
    for word in command.split(' ') {
        let longer = format!("{spoken} {word}").trim().to_owned();
        if !helps.contains_key(&longer) {
            break;
        }
        spoken = longer;
    }
    spoken
}

/// The values that a template names: `api.port` for `.Values.api.port`.
fn values_in(template: &str) -> Vec<String> {
    let is_outside = |letter: char| !(letter.is_ascii_alphanumeric() || letter == '.');
    template
        .split(".Values.")
        .skip(1)
        .filter_map(|rest| rest.split(is_outside).next())
        .map(|path| path.trim_end_matches('.').to_owned())
        .collect()
}

/// The paths of all values that hold no further ones.
fn leaves(path: &str, value: &Value) -> Vec<String> {
    match value.as_object() {
        Some(fields) if !fields.is_empty() => fields
            .iter()
            .flat_map(|(name, value)| leaves(format!("{path}.{name}").trim_start_matches('.'), value))
            .collect(),
        _ => vec![path.to_owned()],
    }
}
