//! Backup and restore as `docs/operations.md` tells it: its own commands are run, the installation is lost, and comes back whole.

use std::collections::BTreeMap;

use serde_json::json;
use tempfile::TempDir;
use tests::agent_process::AgentProcess;
use tests::api_client::ApiClient;
use tests::eventually::eventually;
use tests::nats_server::{NatsServer, Options};
use tests::postgres_server::PostgresServer;
use tests::program;
use tests::runbook;
use tests::sample_history;
use tests::server_process::{Log, ServerProcess};
use tests::workload::{self, Workload};

#[tokio::test]
async fn a_lost_data_directory_comes_back_from_a_backup_and_the_master_key() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    sample_history::write(&server.api()).await;
    let instance_token = server.api().instance_token("us-west").await;
    let agent = AgentProcess::start(&server, "us-west", &instance_token);
    let admin_token = server.admin_token();
    let reader_token = reader_token(&server.api()).await;
    eventually("the instance has a configuration", async || {
        let written = agent.declarative_file().exists();
        written.then_some(()).ok_or(agent.printed())
    })
    .await;
    let before = everything(&server, &server.api()).await;
    let operator = Operator::of(&server, &[]);

    operator.follow("Keep the master key", &mut server).await;
    operator.follow("Back up", &mut server).await;
    operator.follow("Rehearse a restore", &mut server).await;
    server.kill9();
    std::fs::remove_dir_all(server.data_dir()).expect("the data directory can be lost");
    operator
        .follow("Restore an embedded installation", &mut server)
        .await;

    assert!(
        !server.data_dir().join("admin.token").exists(),
        "nobody is given a new token: the old ones are valid"
    );
    let restored = server.api_as(&admin_token);
    assert_same(&before, &everything(&server, &restored).await);
    restored
        .with_token(&reader_token)
        .get("/v2/runtime-groups/us-west")
        .await
        .expect_status(200);
    let change = json!({ "host": "after-the-restore.test" });
    let group = restored.group("us-west");
    group
        .patch("services/catalogue", &change)
        .await
        .expect_status(200);
    eventually("an instance of before goes on", async || {
        let written = agent.declarative_text();
        let arrived = written.contains("after-the-restore.test");
        arrived.then_some(()).ok_or(agent.printed())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_server_holds_everything_acknowledged_before_it() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let admin_token = server.admin_token();
    let group = server.api().group("default");
    let operator = Operator::of(&server, &[]);
    operator.follow("Keep the master key", &mut server).await;

    let mut workload = Workload::start(&group, 8);
    workload.progress(100).await;
    let promised = workload.acknowledged();
    operator.follow("Back up", &mut server).await;
    operator.follow("Rehearse a restore", &mut server).await;
    workload.progress(100).await;
    workload.finish().await;

    server.kill9();
    std::fs::remove_dir_all(server.data_dir()).expect("the data directory can be lost");
    operator
        .follow("Restore an embedded installation", &mut server)
        .await;
    let group = server.api_as(&admin_token).group("default");
    workload::verify(&group, &promised, 0).await;
}

#[tokio::test]
async fn a_cluster_is_backed_up_while_it_runs_and_restored_on_other_servers() {
    let nats = NatsServer::start(Options::default()).await;
    let databases = PostgresServer::shared();
    let mut server = ServerProcess::prepare(nats.log()).with_database(&databases.fresh_database().await);
    server.start_again();
    server.ready().await;
    sample_history::write(&server.api()).await;
    let admin_token = server.admin_token();
    let before = everything(&server, &server.api()).await;
    let key =
        std::fs::read_to_string(server.data_dir().join("master.key")).expect("a server keeps its master key");
    let settings = |nats: &NatsServer| {
        [
            ("RUNTIME_MANAGER_LOG", nats.url()),
            ("RUNTIME_MANAGER_MASTER_KEY", key.trim().to_owned()),
        ]
    };
    let operator = Operator::of(&server, &settings(&nats));
    operator.follow("Keep the master key", &mut server).await;
    operator.follow("Back up a cluster", &mut server).await;
    operator.follow("Rehearse a restore", &mut server).await;
    server.kill9();

    let other_nats = NatsServer::start(Options::default()).await;
    let mut restored =
        ServerProcess::prepare(other_nats.log()).with_database(&databases.fresh_database().await);
    restored.take_master_key_of(&server);
    let operator = operator.elsewhere(&restored, &settings(&other_nats));
    operator.follow("Restore a cluster", &mut restored).await;

    assert_same(
        &before,
        &everything(&restored, &restored.api_as(&admin_token)).await,
    );
}

/// Somebody who follows the guide; its places are directories of this test.
struct Operator {
    /// What the guide calls a place, and where it is here.
    places: Vec<(&'static str, String)>,
    exported: Vec<(String, String)>,
    home: TempDir,
}

impl Operator {
    /// Looks after this server, with these settings exported.
    fn of(server: &ServerProcess, exported: &[(&str, String)]) -> Self {
        let home = tempfile::tempdir().expect("the temporary directory is writable");
        for name in ["backup", "safe", "scratch"] {
            std::fs::create_dir(home.path().join(name)).expect("the temporary directory is writable");
        }
        Self {
            places: Vec::new(),
            exported: Vec::new(),
            home,
        }
        .elsewhere(server, exported)
    }

    /// The same person with the same backups, before another server.
    fn elsewhere(mut self, server: &ServerProcess, exported: &[(&str, String)]) -> Self {
        let place = |name: &str| self.home.path().join(name).display().to_string();
        self.places = vec![
            (
                "/var/lib/runtime-manager",
                server.data_dir().display().to_string(),
            ),
            ("/backup", place("backup")),
            ("/safe", place("safe")),
            ("/scratch", place("scratch")),
        ];
        self.exported = vec![("RUNTIME_MANAGER_URL".to_owned(), server.url())];
        self.exported.extend(
            exported
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        self
    }

    /// Runs every command below a heading of the guide.
    async fn follow(&self, heading: &str, server: &mut ServerProcess) {
        for command in runbook::commands(heading) {
            match command.as_str() {
                "systemctl stop runtime-manager" => {
                    assert!(server.stop().await.success(), "an orderly end is a success");
                }
                "systemctl start runtime-manager" => {
                    server.start_again();
                    server.ready().await;
                }
                command => self.run(command).await,
            }
        }
    }

    async fn run(&self, command: &str) {
        let here = self
            .places
            .iter()
            .fold(command.to_owned(), |command, (there, here)| {
                command.replace(there, here)
            });
        self.run_in_shell(&here).await;
    }

    async fn run_in_shell(&self, command: &str) {
        let programs = program::program()
            .parent()
            .expect("a program lies in a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let ended = tokio::process::Command::new("sh")
            .args(["-euc", command])
            .env_clear()
            .env("PATH", format!("{}:{path}", programs.display()))
            .envs(self.exported.iter().cloned())
            .kill_on_drop(true)
            .output()
            .await
            .expect("a shell starts");
        assert!(
            ended.status.success(),
            "{command}: {}\n{}{}",
            ended.status,
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr)
        );
    }
}

async fn reader_token(api: &ApiClient) -> String {
    let body = json!({ "name": "reader", "role": "viewer" });
    let made = api.post("/v2/tokens", &body).await.expect_status(201).json();
    made["token"]
        .as_str()
        .expect("a new token is shown once")
        .to_owned()
}

/// Groups, entities with their secrets, tokens, and every version with its digest: by the path that answers it.
async fn everything(server: &ServerProcess, api: &ApiClient) -> BTreeMap<String, String> {
    let group = "/v2/runtime-groups/us-west";
    let newest = api.group("us-west").version().await;
    let mut paths = vec![
        "/v2/runtime-groups".to_owned(),
        "/v2/tokens".to_owned(),
        group.to_owned(),
        format!("{group}/versions?page[size]=1000"),
    ];
    for collection in [
        "services",
        "routes",
        "plugins",
        "certificates",
        "snis",
        "consumers",
        "key-auths",
    ] {
        paths.push(format!("{group}/core-entities/{collection}?size=1000"));
    }
    for version in 1..=newest {
        paths.push(format!("{group}/versions/{version}"));
        paths.push(format!("{group}/versions/{version}/config"));
    }
    let mut answers = BTreeMap::new();
    for path in paths {
        let answer = api.get(&path).await.expect_status(200);
        let tag = answer.header("etag").unwrap_or_default();
        // Where instances connect is the server's, not the log's.
        let text = answer.text().replace(&server.dataplane_address(), "here");
        answers.insert(path, format!("{tag} {text}"));
    }
    let certificates = &answers[&format!("{group}/core-entities/certificates?size=1000")];
    assert!(
        certificates.contains("PRIVATE KEY"),
        "an administrator sees secrets"
    );
    answers
}

fn assert_same(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    for (path, answer) in before {
        assert_eq!(Some(answer), after.get(path), "{path}");
    }
    assert_eq!(before.len(), after.len(), "there are as many versions as before");
}
