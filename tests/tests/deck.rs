//! decK, as published, works against a runtime group unchanged: the group taken for a Kong Admin API, and for a control plane of
//! Konnect.

use std::collections::BTreeMap;
use std::path::Path;

use domain::Kind;
use serde_json::{Value, json};
use tests::api_client::GroupClient;
use tests::deck::{DIFFERENT, Deck, Mode};
use tests::declarative_file::{assert_same_meaning, document, fixture, fixtures, name_of};
use tests::server_process::{Log, ServerProcess};
use tests::tls_front::TlsFront;

const MODES: [Mode; 2] = [Mode::Kong, Mode::Konnect];
/// The file whose entities decK reads from no control plane of Konnect.
const UNKNOWN_TO_KONNECT: &str = "oauth2-applications";

#[tokio::test]
async fn every_file_is_synced_once_and_is_then_so_for_a_kong_admin_api() {
    every_file_is_synced_once_and_is_then_so(Mode::Kong).await;
}

#[tokio::test]
async fn every_file_is_synced_once_and_is_then_so_for_konnect() {
    every_file_is_synced_once_and_is_then_so(Mode::Konnect).await;
}

async fn every_file_is_synced_once_and_is_then_so(mode: Mode) {
    let server = ServerProcess::start(Log::Sqlite).await;
    for file in fixtures() {
        let name = name_of(&file);
        if mode == Mode::Konnect && name == UNKNOWN_TO_KONNECT {
            continue;
        }
        server.api().create_group(&name).await;
        let (group, deck) = (server.api().group(&name), Deck::new(&server, &name, mode));

        let before = ["gateway", "diff", path(&file), "--non-zero-exit-code"];
        deck.run(&before).await.expect_code(DIFFERENT);
        deck.sync(&file).await;
        let version = group.version().await;
        assert!(version > 0, "{name} is synced");

        deck.expect_no_difference(&file).await;
        deck.sync(&file).await;
        assert_eq!(group.version().await, version, "{name}: it was so already");
        assert_same_meaning(&name, &deck.dump(&[]).await, &document(&file));
        if mode == Mode::Konnect {
            let shell = server.command_line();
            let dump = shell.run(&["dump", "--group", &name]).await.expect_code(0);
            // decK refuses to hear that passwords are hashed already; it doesn't compare them.
            let dump = dump.stdout().replace("_transform: false\n", "");
            let dump = deck.file("own-dump.yaml", &dump);
            deck.expect_no_difference(&dump).await;
        }
    }
}

#[tokio::test]
async fn a_dump_restores_a_group_exactly_ids_included() {
    let server = ServerProcess::start(Log::Sqlite).await;
    for mode in MODES {
        let (original, copy) = (format!("original-{mode:?}"), format!("copy-{mode:?}"));
        for group in [&original, &copy] {
            server.api().create_group(group).await;
        }
        let from = Deck::new(&server, &original, mode);
        from.sync(&fixture("kitchen-sink.yaml")).await;

        let mut dump = from.dump(&["--with-id"]).await;
        // It names the control plane that it was made from.
        dump.as_object_mut()
            .expect("a dump is a mapping")
            .remove("_konnect");
        let to = Deck::new(&server, &copy, mode);
        let backup = to.file("backup.json", &dump.to_string());
        let mut sync = vec!["gateway", "sync", path(&backup)];
        sync.extend((mode == Mode::Konnect).then_some("--skip-hash-for-basic-auth"));
        to.run(&sync).await.expect_code(0);

        let (from, to) = (server.api().group(&original), server.api().group(&copy));
        let (mut from, mut to) = (entities(&from).await, entities(&to).await);
        if mode == Mode::Kong {
            // A Kong Admin API hashes a password again that is a hash already.
            for entities in [&mut from, &mut to] {
                forget(entities, "password");
            }
        }
        for (key, entity) in &from {
            assert_eq!(to.get(key), Some(entity), "{mode:?}");
        }
        assert_eq!(to.len(), from.len(), "{mode:?}: nothing else is there");
    }
}

#[tokio::test]
async fn a_changed_file_changes_what_differs_and_nothing_else() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let storefront = std::fs::read_to_string(fixture("storefront.yaml")).expect("a fixture is readable");
    for mode in MODES {
        let name = format!("changed-{mode:?}");
        server.api().create_group(&name).await;
        let (group, deck) = (server.api().group(&name), Deck::new(&server, &name, mode));
        deck.sync(&deck.file("before.yaml", &storefront)).await;
        let before = entities(&group).await;
        let (version, service) = (
            group.version().await,
            group.get("services/catalogue").await.json(),
        );

        let changed = storefront.replace("port: 8443", "port: 9443");
        deck.sync(&deck.file("after.yaml", &changed)).await;

        assert_eq!(group.version().await, version + 1, "{mode:?}: one change");
        let now = group.get("services/catalogue").await.json();
        assert_eq!((&now["port"], &now["id"]), (&json!(9443), &service["id"]));
        assert_eq!(now["created_at"], service["created_at"], "{mode:?}");
        let after = entities(&group).await;
        let differing = after
            .iter()
            .filter(|(key, entity)| before.get(*key) != Some(*entity));
        assert_eq!(differing.count(), 1, "{mode:?}: nothing else differs");
        assert_eq!(after.len(), before.len(), "{mode:?}");
    }
}

#[tokio::test]
async fn the_classic_commands_restore_a_group_from_a_backup() {
    the_classic_commands_restore_a_group("DECK", "kitchen-sink.yaml").await;
}

#[tokio::test]
#[ignore = "needs an older decK: OLD_DECK=1.28.1 tests/run deck"]
async fn the_classic_commands_of_an_older_deck_restore_a_group_from_a_backup() {
    // Older ones know neither keys nor consumer groups as today's files have them.
    for file in [
        "storefront.yaml",
        "balancing.yaml",
        "certificates.yaml",
        "consumers.yaml",
    ] {
        the_classic_commands_restore_a_group("OLD_DECK", file).await;
    }
}

/// `variable` names the decK.
async fn the_classic_commands_restore_a_group(variable: &str, file: &str) {
    let server = ServerProcess::start(Log::Sqlite).await;
    let group = server.api().group("us-west");
    server.api().create_group("us-west").await;
    Deck::new(&server, "us-west", Mode::Konnect)
        .sync(&fixture(file))
        .await;
    let mut before = entities(&group).await;

    let program = std::env::var(variable).unwrap_or_else(|_| panic!("{variable} isn't set: use tests/run"));
    let konnect = vec![
        format!("--konnect-addr={}", server.url()),
        format!("--konnect-token={}", server.admin_token()),
        "--konnect-runtime-group-name=us-west".to_owned(),
    ];
    let deck = Deck::with_target(&program, konnect);
    let dump = ["dump", "--with-id", "--output-file", "backup.yaml"];
    deck.run(&dump).await.expect_code(0);
    let path = "/v2/runtime-groups/us-west";
    server.api().delete(path).await.expect_status(204);
    server.api().create_group("us-west").await;
    deck.run(&["sync", "--state", "backup.yaml"]).await.expect_code(0);

    let mut after = entities(&group).await;
    for entities in [&mut before, &mut after] {
        // The classic commands hash a password again that is a hash already.
        forget(entities, "password");
    }
    assert_eq!(after, before, "{file}");
}

#[tokio::test]
async fn reset_leaves_nothing() {
    let server = ServerProcess::start(Log::Sqlite).await;
    for mode in MODES {
        let name = format!("reset-{mode:?}");
        server.api().create_group(&name).await;
        let (group, deck) = (server.api().group(&name), Deck::new(&server, &name, mode));
        deck.sync(&fixture("kitchen-sink.yaml")).await;
        assert!(!entities(&group).await.is_empty());

        deck.run(&["gateway", "reset", "--force"]).await.expect_code(0);

        assert_eq!(entities(&group).await, BTreeMap::new(), "{mode:?}");
    }
}

#[tokio::test]
async fn validate_asks_the_server_and_says_what_is_wrong() {
    let server = ServerProcess::start(Log::Sqlite).await;
    for mode in MODES {
        let deck = Deck::new(&server, "default", mode);
        let valid = fixture("kitchen-sink.yaml");
        deck.run(&["gateway", "validate", path(&valid)])
            .await
            .expect_code(0);

        let invalid = deck.file(
            "invalid.yaml",
            "_format_version: '3.0'\nservices:\n- name: far\n  host: far.test\n  port: 70000\n",
        );
        let refused = deck
            .run(&["gateway", "validate", path(&invalid)])
            .await
            .expect_code(1);

        let said = refused.stdout() + &refused.stderr();
        assert!(said.contains("port"), "{mode:?}: {said}");
    }
    assert_eq!(server.api().group("default").version().await, 0);
}

#[tokio::test]
async fn selecting_a_tag_touches_only_what_has_it() {
    let server = ServerProcess::start(Log::Sqlite).await;
    for mode in MODES {
        let name = format!("tags-{mode:?}");
        server.api().create_group(&name).await;
        let (group, deck) = (server.api().group(&name), Deck::new(&server, &name, mode));
        let service = |name: &str| {
            format!(
                "_format_version: '3.0'\nservices:\n- name: {name}\n  host: {name}.test\n  routes:\n  - name: {name}\n    paths: [/{name}]\n"
            )
        };
        let one = deck.file("one.yaml", &service("one"));
        let two = deck.file("two.yaml", &service("two"));
        for (file, tag) in [(&one, "team-one"), (&two, "team-two")] {
            let select = ["gateway", "sync", path(file), "--select-tag", tag];
            deck.run(&select).await.expect_code(0);
        }

        let of_one = deck.dump(&["--select-tag", "team-one"]).await;
        assert_eq!(of_one["services"].as_array().map(Vec::len), Some(1));
        assert_eq!(of_one["services"][0]["name"], "one");
        let nothing = deck.file("nothing.yaml", "_format_version: '3.0'\n");
        let clear = ["gateway", "sync", path(&nothing), "--select-tag", "team-two"];
        deck.run(&clear).await.expect_code(0);

        group.get("services/one").await.expect_status(200);
        group.get("routes/one").await.expect_status(200);
        group.get("services/two").await.expect_status(404);
    }
}

#[tokio::test]
async fn a_thousand_services_go_in_ten_at_a_time_and_none_is_lost() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let deck = Deck::new(&server, "default", Mode::Konnect);
    let services: Vec<Value> = (0..1000)
        .map(|number| json!({ "name": format!("service-{number}"), "host": format!("{number}.test"), "tags": ["many"] }))
        .collect();
    let file = json!({ "_format_version": "3.0", "services": services }).to_string();
    let file = deck.file("many.json", &file);

    let sync = ["gateway", "sync", path(&file), "--parallelism", "10"];
    deck.run(&sync).await.expect_code(0);

    deck.expect_no_difference(&file).await;
    let group = server.api().group("default");
    assert_eq!(entities(&group).await.len(), 1000);
    assert_eq!(group.version().await, 1000, "each service is a change of its own");
    let metrics = server.api().get("/metrics").await.expect_status(200).text();
    let failures: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("http_requests_total{status=\"5"))
        .collect();
    assert!(failures.is_empty(), "{failures:?}");
}

#[tokio::test]
async fn apply_adds_to_what_is_there() {
    let server = ServerProcess::start(Log::Sqlite).await;
    for mode in MODES {
        let name = format!("apply-{mode:?}");
        server.api().create_group(&name).await;
        let (group, deck) = (server.api().group(&name), Deck::new(&server, &name, mode));
        deck.sync(&fixture("storefront.yaml")).await;
        let before = entities(&group).await;

        let more = "_format_version: '3.0'\nservices:\n- name: more\n  host: more.test\n";
        let more = deck.file("more.yaml", more);
        deck.run(&["gateway", "apply", path(&more)]).await.expect_code(0);

        group.get("services/more").await.expect_status(200);
        let after = entities(&group).await;
        assert_eq!(after.len(), before.len() + 1, "{mode:?}");
        assert!(
            before.iter().all(|(key, entity)| after.get(key) == Some(entity)),
            "{mode:?}"
        );
    }
}

/// decK asks a global host for the organization, whose address is `global.api.konghq` with what follows `api.konghq` in the one it
/// was given. Where that is a user's name, both are this server.
#[tokio::test]
async fn ping_finds_the_global_host_behind_a_users_name() {
    let server = ServerProcess::start(Log::Sqlite).await;
    let address = server.url().replace("http://", "");
    let front = TlsFront::before(address.parse().expect("a server has an address"));
    let certificate = server.data_dir().join("front.pem");
    std::fs::write(&certificate, front.certificate()).expect("the data directory is writable");
    let program = std::env::var("DECK").expect("DECK is set: use tests/run");
    let konnect = vec![
        format!("--konnect-addr=https://api.konghq@{}", front.host()),
        format!("--konnect-token={}", server.admin_token()),
        format!("--ca-cert-file={}", certificate.display()),
    ];

    let pinged = Deck::with_target(&program, konnect)
        .run(&["gateway", "ping"])
        .await
        .expect_code(0);

    assert!(
        pinged.stdout().contains("Successfully Konnected"),
        "{}",
        pinged.stdout()
    );
}

/// Every entity of a group, by kind and id, without the times at which it was written.
async fn entities(group: &GroupClient) -> BTreeMap<(&'static str, String), Value> {
    let mut entities = BTreeMap::new();
    // Filter chains are refused: no gateway here runs WebAssembly.
    let configuration = |kind: &Kind| {
        let schema = kind.schema();
        schema.served && schema.exported && kind.name() != "filter_chains"
    };
    for kind in Kind::all().filter(configuration) {
        let mut page = format!("{}?size=1000", kind.schema().collection);
        loop {
            let list = group.get(&page).await.expect_status(200).json();
            for entity in list["data"].as_array().expect("a list has data") {
                let id = entity["id"].as_str().expect("an entity has an id").to_owned();
                entities.insert((kind.name(), id), entity.clone());
            }
            let Some(offset) = list["offset"].as_str() else {
                break;
            };
            page = format!("{}?size=1000&offset={offset}", kind.schema().collection);
        }
    }
    for field in ["created_at", "updated_at"] {
        forget(&mut entities, field);
    }
    entities
}

fn forget(entities: &mut BTreeMap<(&'static str, String), Value>, field: &str) {
    for entity in entities.values_mut() {
        entity
            .as_object_mut()
            .expect("an entity is an object")
            .remove(field);
    }
}

fn path(file: &Path) -> &str {
    file.to_str().expect("the path is text")
}
