//! What was erased lies nowhere any more: every file is searched byte for byte.

use std::path::PathBuf;

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tests::api_client::GroupClient;
use tests::byte_search::{self, Needle};
use tests::command_line::CommandLine;
use tests::eventually::eventually;
use tests::nats_server::{NatsServer, Options};
use tests::postgres_server::PostgresServer;
use tests::server_process::{Log, ServerProcess};

/// What says who ada is, or lets somebody be her, in every field that does.
const OF_ADA: [&str; 16] = [
    "ada-of-the-first-name",
    "ada-of-the-second-name",
    "custom-id-of-ada-1815",
    "api-key-of-ada-0001",
    "api-key-of-ada-0002",
    "basic-auth-name-of-ada",
    "basic-auth-password-of-ada",
    "hmac-name-of-ada",
    "hmac-secret-of-ada",
    "jwt-key-of-ada-000001",
    "jwt-secret-of-ada-000001",
    "oauth2-secret-of-ada",
    "oauth2-client-of-ada",
    "oauth2-name-of-ada",
    "acl-group-of-ada",
    "https://ada.callback.test/",
];

/// What is secret in a group beside its consumers.
const OF_THE_GROUP: [&str; 14] = [
    "OGOcof0xA1SD9sqs",
    "xvV8BpaixoNLhF6BDnjYaLhSbi6h",
    "logs.of-the-group.test",
    "header-of-the-group",
    "redis-password-of-the-group",
    "aws-secret-of-the-group",
    "session-secret-of-the-group",
    "added-header-of-the-group",
    "query-of-the-group",
    "answered-header-of-the-group",
    "tracing-password-of-the-group",
    "code-of-the-group",
    "field-code-of-the-group",
    "healthcheck-of-the-group",
];

/// What the search must find, or it would find nothing at all.
const OF_NOBODY: &str = "a-service-of-nobody";

fn needles(texts: &[&str]) -> Vec<Needle> {
    texts.iter().map(|text| Needle::text(text)).collect()
}

/// A consumer with every kind of credential, under two names, in changes small enough to be stored as they are; answers
/// its id.
async fn live_the_life_of_ada(group: &GroupClient) -> String {
    group
        .put(
            &format!("services/{OF_NOBODY}"),
            &json!({ "host": "nobody.test" }),
        )
        .await
        .expect_status(200);
    let ada = json!({ "username": OF_ADA[0], "custom_id": OF_ADA[2] });
    let ada = group.post("consumers", &ada).await.expect_status(201).json();
    let id = ada["id"].as_str().expect("a consumer has an id").to_owned();
    let credentials = [
        ("key-auth", json!({ "key": OF_ADA[3] })),
        ("key-auth", json!({ "key": OF_ADA[4] })),
        (
            "basic-auth",
            json!({ "username": OF_ADA[5], "password": OF_ADA[6] }),
        ),
        ("hmac-auth", json!({ "username": OF_ADA[7], "secret": OF_ADA[8] })),
        ("jwt", json!({ "key": OF_ADA[9], "secret": OF_ADA[10] })),
        (
            "oauth2",
            json!({ "name": OF_ADA[13], "client_id": OF_ADA[12], "client_secret": OF_ADA[11], "redirect_uris": [OF_ADA[15]] }),
        ),
        ("acls", json!({ "group": OF_ADA[14] })),
    ];
    for (collection, body) in credentials {
        let path = format!("consumers/{id}/{collection}");
        group.post(&path, &body).await.expect_status(201);
        // Refusals may quote what was sent.
        if collection != "acls" {
            group.post(&path, &body).await.expect_status(409);
        }
    }
    let renamed = json!({ "username": OF_ADA[1] });
    group
        .patch(&format!("consumers/{id}"), &renamed)
        .await
        .expect_status(200);
    let file = format!(
        "_format_version: \"3.0\"\nconsumers:\n- username: {}\n  custom_id: {}\n  tags: [\"pioneer\"]\n",
        OF_ADA[1], OF_ADA[2]
    );
    group.apply(&file, "").await.expect_status(200);
    let back = json!({ "to": group.version().await - 1 });
    group.change("rollback", &back).await.expect_status(200);
    id
}

/// Certificates, keys and plugins that hold secrets.
async fn add_secrets(group: &GroupClient) {
    let fixture = format!("{}/fixtures/certificates.yaml", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::read_to_string(fixture).expect("a fixture is readable");
    let of = |name: &str| {
        let (begin, end) = (format!("-----BEGIN {name}-----"), format!("-----END {name}-----"));
        let inside = file.split(&begin).nth(1).and_then(|rest| rest.split(&end).next());
        let lines = inside.expect("a PEM block").lines().map(str::trim);
        format!("{begin}{}\n{end}\n", lines.collect::<Vec<_>>().join("\n"))
    };
    let bodies = [
        (
            "certificates",
            json!({ "cert": of("CERTIFICATE"), "key": of("PRIVATE KEY") }),
        ),
        (
            "plugins",
            json!({ "name": "http-log", "config": {
                "http_endpoint": format!("https://{}/", OF_THE_GROUP[2]),
                "headers": { "x-token": OF_THE_GROUP[3] },
            } }),
        ),
        (
            "plugins",
            json!({ "name": "rate-limiting", "config": {
                "minute": 5, "policy": "redis", "redis": { "host": "redis.test", "password": OF_THE_GROUP[4] },
            } }),
        ),
        (
            "plugins",
            json!({ "name": "aws-lambda", "config": {
                "function_name": "f", "aws_region": "us-east-1",
                "aws_key": "the-aws-key", "aws_secret": OF_THE_GROUP[5],
            } }),
        ),
        (
            "plugins",
            json!({ "name": "session", "config": { "secret": OF_THE_GROUP[6] } }),
        ),
        (
            "plugins",
            json!({ "name": "request-transformer", "config": { "add": {
                "headers": [format!("x-key:{}", OF_THE_GROUP[7])], "querystring": [format!("key:{}", OF_THE_GROUP[8])],
            } } }),
        ),
        (
            "plugins",
            json!({ "name": "response-transformer", "config": {
                "add": { "headers": [format!("x-key:{}", OF_THE_GROUP[9])] },
            } }),
        ),
        (
            "plugins",
            json!({ "name": "zipkin", "config": {
                "http_endpoint": format!("http://user:{}@zipkin.test/", OF_THE_GROUP[10]),
            } }),
        ),
        (
            "plugins",
            json!({ "name": "pre-function", "config": { "access": [format!("return '{}'", OF_THE_GROUP[11])] } }),
        ),
        (
            "plugins",
            json!({ "name": "file-log", "config": {
                "path": "/dev/stdout", "custom_fields_by_lua": { "key": format!("return '{}'", OF_THE_GROUP[12]) },
            } }),
        ),
        (
            "upstreams",
            json!({ "name": "checked", "healthchecks": { "active": {
                "headers": { "Authorization": [format!("Bearer {}", OF_THE_GROUP[13])] },
            } } }),
        ),
    ];
    for (collection, body) in bodies {
        group.post(collection, &body).await.expect_status(201);
    }
}

/// The pages of the keyring as they lie on the disk.
async fn key_pages(server: &ServerProcess) -> Vec<Vec<u8>> {
    let options = SqliteConnectOptions::new()
        .filename(server.data_dir().join("keys.db"))
        .read_only(true);
    let mut keys: SqliteConnection = options.connect().await.expect("the keyring is a database");
    let pages = sqlx::query_scalar("SELECT sealed FROM page WHERE boundary LIKE 'rt.group.%'")
        .fetch_all(&mut keys)
        .await
        .expect("the keyring has pages");
    keys.close().await.expect("a reader leaves");
    pages
}

/// Everything the server left on the disk, what it printed included.
fn places(server: &ServerProcess) -> Vec<PathBuf> {
    let home = server.data_dir();
    vec![home.parent().expect("the data directory is in a home").to_owned()]
}

async fn export(server: &ServerProcess, name: &str) -> PathBuf {
    let file = server.data_dir().with_file_name(name);
    let mut arguments = vec!["log".to_owned(), "export".to_owned(), file.display().to_string()];
    arguments.extend(server.storage_arguments());
    arguments.retain(|argument| !argument.is_empty());
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    CommandLine::new().run(&arguments).await.expect_code(0);
    file
}

/// What an auditor is given of a group's history.
async fn export_history(server: &ServerProcess, group: &str) {
    let file = server.data_dir().with_file_name("history.jsonl");
    let file = file.display().to_string();
    let arguments = ["history", "export", "--group", group, &file];
    server.command_line().run(&arguments).await.expect_code(0);
}

async fn says_erased(group: &GroupClient, ada: &str) {
    let past = group
        .get(&format!("consumers/{ada}?at=2"))
        .await
        .expect_status(200);
    assert_eq!(past.json()["username"], "{erased}");
    let credentials = group.get(&format!("consumers/{ada}/key-auth?at=4")).await;
    let credentials: Value = credentials.expect_status(200).json();
    let keys: Vec<_> = credentials["data"]
        .as_array()
        .expect("a page")
        .iter()
        .map(|credential| &credential["key"])
        .collect();
    assert_eq!(keys, ["{erased}", "{erased}"]);
}

#[tokio::test]
async fn no_file_holds_what_was_erased_with_a_consumer() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("default");
    let ada = live_the_life_of_ada(&group).await;
    let nothing: [String; 0] = [];
    assert!(
        !byte_search::found(&places(&server), &needles(&[OF_NOBODY])).is_empty(),
        "the search finds what is there"
    );
    assert_eq!(
        byte_search::found(&places(&server), &needles(&OF_ADA)),
        nothing,
        "no secret and no personal field rests in plain text, erased or not"
    );
    let keys_before: Vec<_> = key_pages(&server)
        .await
        .into_iter()
        .map(|page| Needle::new("a page with ada's key", page))
        .collect();
    assert!(!byte_search::found(&places(&server), &keys_before).is_empty());

    let cli = server.command_line();
    let erase = [
        "erase",
        "consumer",
        OF_ADA[1],
        "--group",
        "default",
        "--yes",
        "--message",
        "art. 17",
    ];
    let said = cli.run(&erase).await.expect_code(0).stdout();
    assert!(said.contains(&format!("the consumer {ada} is erased")), "{said}");
    assert_eq!(
        byte_search::found(&places(&server), &keys_before),
        nothing,
        "while it runs"
    );
    says_erased(&group, &ada).await;

    server.restart().await;
    says_erased(&group, &ada).await;
    server.kill9();
    server.forget_what_is_derived();
    server.start_again();
    server.ready().await;
    says_erased(&group, &ada).await;

    export_history(&server, "default").await;
    assert!(server.stop().await.success());
    export(&server, "export").await;
    let everything: Vec<_> = needles(&OF_ADA).into_iter().chain(keys_before).collect();
    assert_eq!(byte_search::found(&places(&server), &everything), nothing);
}

#[tokio::test]
async fn no_file_holds_what_was_sealed_in_a_purged_group() {
    let mut server = ServerProcess::start(Log::Sqlite).await;
    let api = server.api();
    let made = api.create_group("payments").await;
    let id = made["id"].as_str().expect("a group has an id").to_owned();
    let group = api.group(&id);
    live_the_life_of_ada(&group).await;
    add_secrets(&group).await;
    let newest = format!("versions/{}/config", group.version().await);
    let secrets: Vec<_> = [&OF_ADA[..], &OF_THE_GROUP].concat();
    let nothing: [String; 0] = [];
    assert_eq!(
        byte_search::found(&places(&server), &needles(&secrets)),
        nothing,
        "no secret rests in plain text, purged or not"
    );
    let keys_before: Vec<_> = key_pages(&server)
        .await
        .into_iter()
        .map(|page| Needle::new("a page of keys", page))
        .collect();
    assert!(!byte_search::found(&places(&server), &keys_before).is_empty());

    api.delete(&format!("/v2/runtime-groups/{id}"))
        .await
        .expect_status(204);
    let cli = server.command_line();
    let listed = cli.run(&["group", "list", "--deleted"]).await.expect_code(0);
    assert!(listed.stdout().contains(&id), "{}", listed.stdout());
    let said = cli.run(&["group", "purge", &id, "--yes"]).await.expect_code(0);
    assert!(said.stdout().contains("payments was purged"), "{}", said.stdout());
    let past = async |group: &GroupClient| {
        let past = group.read(&newest).await.expect_status(200).text();
        assert!(past.contains("{erased}"), "{past}");
        let found = secrets.iter().find(|secret| past.contains(**secret));
        assert_eq!(found, None);
    };
    past(&group).await;
    let restored = cli.run(&["group", "restore", &id]).await.expect_code(1);
    assert!(restored.stderr().contains("was purged"), "{}", restored.stderr());

    server.kill9();
    server.forget_what_is_derived();
    server.start_again();
    server.ready().await;
    past(&group).await;
    export_history(&server, &id).await;
    assert!(server.stop().await.success());
    export(&server, "export").await;
    let everything: Vec<_> = needles(&secrets).into_iter().chain(keys_before).collect();
    assert_eq!(byte_search::found(&places(&server), &everything), nothing);
}

#[tokio::test]
async fn in_a_cluster_every_process_stops_answering_and_no_server_holds_what_was_erased() {
    let store = tempfile::tempdir().expect("the temporary directory is writable");
    let nats = NatsServer::start(Options {
        store_dir: Some(store.path().to_owned()),
        ..Options::default()
    })
    .await;
    let databases = PostgresServer::start();
    let database = databases.fresh_database().await;
    let mut first = ServerProcess::prepare(nats.log()).with_database(&database);
    first.start_again();
    first.ready().await;
    let second = first.another().await;
    let token = first.admin_token();
    let (one, other) = (
        first.api().group("default"),
        second.api_as(&token).group("default"),
    );
    let ada = live_the_life_of_ada(&one).await;
    let told = other
        .get(&format!("consumers/{ada}?at=2"))
        .await
        .expect_status(200);
    assert_eq!(told.json()["username"], OF_ADA[0], "both processes know the key");
    let on_disk = [store.path().to_owned()];
    let keys_before = message_of(&nats, "rt.group.").await;
    let nothing: [String; 0] = [];
    assert!(!byte_search::found(&on_disk, &keys_before).is_empty());

    let erase = format!("consumers/{ada}/erase");
    one.post(&erase, &json!({})).await.expect_status(200);
    assert_eq!(
        byte_search::found(&on_disk, &keys_before),
        nothing,
        "the page with the key is erased in the server's files"
    );
    says_erased(&one, &ada).await;
    eventually("the other process has heard of it", async || {
        let told = other
            .get(&format!("consumers/{ada}?at=2"))
            .await
            .expect_status(200);
        let told = told.json()["username"].clone();
        (told == "{erased}").then_some(()).ok_or(told)
    })
    .await;
    says_erased(&other, &ada).await;

    let everything: Vec<_> = needles(&OF_ADA).into_iter().chain(keys_before).collect();
    let places = [places(&first), places(&second), on_disk.to_vec()].concat();
    assert_eq!(byte_search::found(&places, &everything), nothing);
    let name = database.rsplit('/').next().expect("a database has a name");
    for statement in ["VACUUM FULL", "CHECKPOINT"] {
        databases.sql(name, statement).expect("an administrator may");
    }
    let mut relations = databases.files();
    relations.retain(|(path, _)| path.components().any(|part| part.as_os_str() == "base"));
    let of_nobody = &needles(&[OF_NOBODY])[0];
    assert!(
        relations.iter().any(|(_, content)| of_nobody.is_in(content)),
        "the search finds what is there"
    );
    for (path, content) in relations {
        let inside: Vec<_> = everything
            .iter()
            .filter(|needle| needle.is_in(&content))
            .collect();
        assert!(inside.is_empty(), "{}: {inside:?}", path.display());
    }
}

#[tokio::test]
async fn in_a_cluster_no_server_holds_what_was_sealed_in_a_purged_group() {
    let store = tempfile::tempdir().expect("the temporary directory is writable");
    let nats = NatsServer::start(Options {
        store_dir: Some(store.path().to_owned()),
        ..Options::default()
    })
    .await;
    let databases = PostgresServer::start();
    let database = databases.fresh_database().await;
    let mut first = ServerProcess::prepare(nats.log()).with_database(&database);
    first.start_again();
    first.ready().await;
    let second = first.another().await;
    let token = first.admin_token();
    let api = first.api();
    let id = api.create_group("payments").await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let (one, other) = (api.group(&id), second.api_as(&token).group(&id));
    live_the_life_of_ada(&one).await;
    add_secrets(&one).await;
    let newest = format!("versions/{}/config", one.version().await);
    let told = other.read(&newest).await.expect_status(200).text();
    assert!(told.contains(OF_THE_GROUP[7]), "both processes know the keys");
    let on_disk = [store.path().to_owned()];
    let keys_before = message_of(&nats, &format!("rt.group.{}", id.replace('-', ""))).await;
    let nothing: [String; 0] = [];
    assert!(!byte_search::found(&on_disk, &keys_before).is_empty());

    api.delete(&format!("/v2/runtime-groups/{id}"))
        .await
        .expect_status(204);
    let purge = ["group", "purge", &id, "--yes"];
    CommandLine::of(&second.url(), &token)
        .run(&purge)
        .await
        .expect_code(0);
    for (group, whose) in [(&one, "the first"), (&other, "the second")] {
        eventually(&format!("{whose} process has forgotten the keys"), async || {
            let past = group.read(&newest).await.expect_status(200).text();
            let known = [&OF_ADA[..], &OF_THE_GROUP]
                .concat()
                .into_iter()
                .find(|secret| past.contains(*secret));
            match known {
                None => Ok(()),
                Some(secret) => Err(secret),
            }
        })
        .await;
        let past = group.read(&newest).await.expect_status(200).text();
        assert!(past.contains("{erased}"), "{past}");
    }
    let secrets: Vec<_> = [&OF_ADA[..], &OF_THE_GROUP].concat();
    let everything: Vec<_> = needles(&secrets).into_iter().chain(keys_before).collect();
    let places = [places(&first), places(&second), on_disk.to_vec()].concat();
    assert_eq!(byte_search::found(&places, &everything), nothing);
    let name = database.rsplit('/').next().expect("a database has a name");
    for statement in ["VACUUM FULL", "CHECKPOINT"] {
        databases.sql(name, statement).expect("an administrator may");
    }
    for (path, content) in databases.files() {
        let inside: Vec<_> = everything
            .iter()
            .filter(|needle| needle.is_in(&content))
            .collect();
        assert!(inside.is_empty(), "{}: {inside:?}", path.display());
    }
}

/// The pages of keys in the keyring's stream, of boundaries that begin so.
async fn message_of(nats: &NatsServer, boundary: &str) -> Vec<Needle> {
    let context = async_nats::jetstream::new(async_nats::connect(nats.url()).await.expect("NATS answers"));
    let stream = context
        .get_stream("KV_runtime_keys")
        .await
        .expect("the keyring's stream");
    let mut pages = Vec::new();
    let last = stream.cached_info().state.last_sequence;
    for sequence in 1..=last {
        if let Ok(message) = stream.get_raw_message(sequence).await
            && message.subject.contains(boundary)
        {
            pages.push(Needle::new("a page of keys", message.payload.to_vec()));
        }
    }
    pages
}
