//! A log moves from one machine's SQLite into NATS and stays the same log: positions, versions, digests, secrets.

use tests::command_line::CommandLine;
use tests::nats_server::{NatsServer, Options};
use tests::server_process::{Log, ServerProcess};

#[tokio::test]
async fn what_sqlite_exported_is_the_same_on_nats() {
    let mut old = ServerProcess::start(Log::Sqlite).await;
    let group = old.api().group("default");
    for name in ["storefront.yaml", "certificates.yaml", "consumers.yaml"] {
        let path = format!("{}/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        let file = std::fs::read_to_string(path).expect("a fixture is readable");
        group.apply(&file, "").await.expect_status(200);
    }
    let version = group.version().await;
    let (digest, history) = (group.digest(version).await, group.history_after(0).await);
    let dump = old
        .command_line()
        .run(&["dump", "--group", "default"])
        .await
        .expect_code(0)
        .stdout();
    assert!(
        dump.contains("BEGIN PRIVATE KEY"),
        "the administrator's dump has the secrets"
    );
    let (token, shell) = (old.admin_token(), CommandLine::new());
    old.stop().await;

    let file = old.data_dir().join("log.export").display().to_string();
    let mut export = words("log export");
    export.push(file.clone());
    export.extend(old.storage_arguments());
    shell.run(&strs(&export)).await.expect_code(0);

    let nats = NatsServer::start(Options::default()).await;
    let mut new = ServerProcess::prepare(nats.log());
    new.take_master_key_of(&old);
    let mut import = words("log import");
    import.push(file);
    import.extend(new.storage_arguments());
    shell.run(&strs(&import)).await.expect_code(0);
    shell.run(&strs(&import)).await.expect_code(0);
    new.start_again();
    new.ready().await;

    let group = new.api_as(&token).group("default");
    assert_eq!(group.version().await, version);
    assert_eq!(group.digest(version).await, digest);
    assert_eq!(
        group.history_after(0).await,
        history,
        "every change has its version, time, actor and position"
    );
    let shell = CommandLine::of(&new.url(), &token);
    let moved = shell
        .run(&["dump", "--group", "default"])
        .await
        .expect_code(0)
        .stdout();
    assert_eq!(moved, dump);
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}
