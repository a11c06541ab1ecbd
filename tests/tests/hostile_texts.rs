//! What somebody calls a host, a label, a group's change or an entity reaches nobody's terminal as anything but letters.

use serde_json::{Value, json};
use tests::agent_process::AgentProcess;
use tests::command_line::{CommandLine, Outcome};
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};

/// Clears the screen, sets the window's title, begins a line of its own, and writes the rest from right to left.
const HOSTILE: &str = "evil\u{1b}[2J\u{1b}]0;title\u{7}\nroot is well\u{202e}nimda\u{9b}31m";

/// What nobody's terminal may get.
fn dangers(text: &str) -> Vec<char> {
    let danger = |letter: &char| {
        let harmless = *letter == '\n';
        !harmless && (letter.is_control() || ('\u{202a}'..='\u{202e}').contains(letter))
    };
    text.chars().filter(danger).collect()
}

#[track_caller]
fn assert_harmless(outcome: &Outcome) -> String {
    let printed = outcome.stdout() + &outcome.stderr();
    assert_eq!(dangers(&printed), Vec::<char>::new(), "{printed:?}");
    assert!(
        !printed.lines().any(|line| line.starts_with("root is well")),
        "a line of its own: {printed}"
    );
    printed
}

async fn run(shell: &CommandLine, arguments: &[&str]) -> String {
    assert_harmless(&shell.run(arguments).await.expect_code(0))
}

/// A server with an instance, a group, a change and a service that are called something hostile.
async fn furnished() -> (ServerProcess, CommandLine, AgentProcess) {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    server.ready().await;
    let admin = server.admin_token();
    let api = server.api_as(&admin);
    let token = api.instance_token("default").await;
    let label = format!("team={HOSTILE}");
    let further = ["--hostname", HOSTILE, "--label", &label];
    let agent = AgentProcess::start_with(&server, "default", &token, &further);
    let group = api.group("default");
    let operations = json!([{ "method": "POST", "path": "/consumers", "body": { "custom_id": HOSTILE } }]);
    let change = json!({ "message": HOSTILE, "operations": operations });
    group.change("transactions", &change).await.expect_status(200);
    let described = json!({ "name": "described", "description": HOSTILE });
    api.post("/v2/runtime-groups", &described)
        .await
        .expect_status(201);
    eventually("the instance is listed", async || {
        let nodes = group.nodes().await;
        nodes
            .iter()
            .any(|node| node["status"] == "in_sync")
            .then_some(())
            .ok_or_else(|| json!(nodes))
    })
    .await;
    let shell = CommandLine::of(&server.url(), &admin);
    (server, shell, agent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_is_shown_what_others_wrote_and_obeys_nothing_of_it() {
    let (mut server, shell, agent) = furnished().await;
    let listed = run(&shell, &["node", "list"]).await;
    assert!(listed.contains("evil\\u{1b}[2J"), "{listed}");
    assert!(listed.contains("\\nroot is well\\u{202e}nimda"), "{listed}");
    let id = listed
        .split_whitespace()
        .find(|word| word.len() == 36 && word.matches('-').count() == 4)
        .expect("the instance's id")
        .to_owned();
    for arguments in [
        vec!["node", "get", &id],
        vec!["history", "--group", "default"],
        vec!["show", "1", "--group", "default"],
        vec!["group", "list"],
        vec!["group", "get", "described"],
        vec!["wait", "--group", "default"],
        vec!["history"],
    ] {
        run(&shell, &arguments).await;
    }
    let refused = shell.run(&["group", "get", HOSTILE]).await.expect_code(1);
    assert_harmless(&refused);
    for printed in [server.process().printed(), agent.printed()] {
        assert_eq!(dangers(&printed), Vec::<char>::new(), "{printed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_read_the_very_text() {
    let (_server, shell, _agent) = furnished().await;
    let listed = run(&shell, &["node", "list", "--output", "json"]).await;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed[0]["hostname"], HOSTILE);
    assert_eq!(listed[0]["labels"]["team"], HOSTILE);
    let history = run(&shell, &["history", "--group", "default", "--output", "json"]).await;
    let history: Value = serde_json::from_str(&history).expect("JSON");
    assert_eq!(history[0]["message"], HOSTILE);
}
