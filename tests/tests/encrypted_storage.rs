//! The log in NATS and the views in PostgreSQL, both reached with TLS and checked certificates; the master key from elsewhere.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::json;
use tests::authority::Authority;
use tests::nats_server::{self, NatsServer};
use tests::port::Port;
use tests::postgres_server::PostgresServer;
use tests::server_process::{Log, ServerProcess};
use tests::servers::MASTER_KEY;

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// What a start that must fail printed.
async fn refusal(mut server: ServerProcess) -> String {
    server.start_again();
    let ended = server.process().ended().await;
    let printed = server.process().printed();
    assert!(!ended.success(), "{printed}");
    printed
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_and_postgresql_are_reached_with_checked_certificates_or_not_at_all() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (server, client) = (authority.issue("server"), authority.issue("client"));
    let nats = NatsServer::start(nats_server::Options {
        tls: Some([
            server.certificate.clone(),
            server.key.clone(),
            authority.certificate(),
        ]),
        ..nats_server::Options::default()
    })
    .await;
    let log = Log::Nats {
        url: nats.url().replace("nats://", "tls://"),
        monitor_url: nats.monitor_url(),
        replicas: 1,
    };
    let port = Port::reserve();
    let postgres = PostgresServer::start_encrypted(&server.certificate, &server.key, port.address().port());
    let database = postgres.fresh_database().await;
    let name = database.rsplit('/').next().expect("a database has a name");
    let checked_by = |authority: &Authority| {
        let root = text(&authority.certificate()).replace('/', "%2F");
        format!(
            "{}?sslmode=verify-full&sslrootcert={root}",
            postgres.encrypted_url(name)
        )
    };
    let shown = [
        "--nats-ca".to_owned(),
        text(&authority.certificate()),
        "--nats-cert".to_owned(),
        text(&client.certificate),
        "--nats-key".to_owned(),
        text(&client.key),
    ];
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();

    let prepare = || ServerProcess::prepare(log.clone()).with_master_key(MASTER_KEY);
    let nameless = prepare().with_arguments(&shown[..2]);
    assert!(refusal(nameless).await.contains("can't connect to NATS at"));
    let trusting_another = prepare()
        .with_arguments(&shown)
        .with_database(&checked_by(&stranger));
    let printed = refusal(trusting_another).await;
    assert!(printed.contains("certificate"), "{printed}");

    let mut server = prepare()
        .with_arguments(&shown)
        .with_database(&checked_by(&authority));
    server.start_again();
    server.ready().await;
    let group = server.api().group("default");
    let service = json!({ "name": "sealed", "host": "example.test" });
    group.post("services", &service).await.expect_status(201);
    let plain = postgres.sql(name, "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL AND NOT ssl");
    assert_eq!(plain.as_deref(), Ok("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_comes_from_a_file_or_a_command_and_is_the_same_key() {
    let home = tempfile::tempdir().expect("the temporary directory is writable");
    let file = home.path().join("key");
    std::fs::write(&file, MASTER_KEY).expect("the directory is writable");
    let arguments = ["--master-key-file", &text(&file)];
    let open = ServerProcess::prepare(Log::Sqlite).with_arguments(&arguments);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644))
        .expect("the owner sets permissions");
    assert!(refusal(open).await.contains("can be read by others"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))
        .expect("the owner sets permissions");

    let mut server = ServerProcess::prepare(Log::Sqlite).with_arguments(&arguments);
    server.start_again();
    server.ready().await;
    assert!(!server.data_dir().join("master.key").exists());
    server.stop().await;
    let command = format!("cat {}", text(&file));
    let mut verify = vec!["log".to_owned(), "verify".to_owned()];
    verify.extend(server.storage_arguments());
    verify.extend(["--master-key-command".to_owned(), command]);
    let verify: Vec<&str> = verify.iter().map(String::as_str).collect();
    tests::command_line::CommandLine::new()
        .run(&verify)
        .await
        .expect_code(0);
}
