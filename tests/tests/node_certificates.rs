//! Certificates from the command line: what is printed for a new Kong connects it, and what is revoked cuts it off.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tests::api_client::{Answer, ApiClient};
use tests::command_line::CommandLine;
use tests::data_plane::{Authority, DataPlane, Identity, KongVersion, Pair, Settings};
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};

const NEWEST: KongVersion = KongVersion::new(3, 9, 1);

/// A server with a service in its group `default`, and a shell that talks to it.
async fn started() -> (ServerProcess, CommandLine) {
    let server = ServerProcess::start(Log::Sqlite).await;
    let admin = server.admin_token();
    let service = json!({ "name": "orders", "host": "orders.test" });
    let api = server.api_as(&admin);
    let services = "/v2/runtime-groups/default/core-entities/services";
    api.post(services, &service).await.expect_status(201);
    let shell = CommandLine::of(&server.url(), &admin);
    (server, shell)
}

fn kong(server: &ServerProcess, identity: Identity) -> DataPlane {
    let address = server.dataplane_address().parse().expect("an address");
    DataPlane::start(Settings::new(NEWEST, address, identity))
}

/// What a command prints with `--output json`.
async fn said(shell: &CommandLine, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--output", "json"]].concat();
    let said = shell.run(&arguments).await.expect_code(0).stdout();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// The settings of a kong.conf whose certificates stand in it.
fn settings(kong_conf: &str) -> BTreeMap<&str, &str> {
    let lines = kong_conf.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(" = ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kong_with_the_kong_conf_that_was_printed_for_it_connects() {
    let (server, shell) = started().await;
    let printed = shell.run(&["node", "add", "--platform", "kong-conf"]).await;
    let printed = printed.expect_code(0).stdout();
    let settings = settings(&printed);
    let inside = |key: &str| {
        let text = STANDARD.decode(settings[key]).expect("base64");
        String::from_utf8(text).expect("PEM")
    };
    assert_eq!(settings["cluster_control_plane"], server.dataplane_address());
    let pair = Pair {
        certificate: inside("cluster_cert"),
        key: inside("cluster_cert_key"),
    };
    let identity = Identity::pki(&pair, &inside("cluster_ca_cert"), settings["cluster_server_name"]);
    kong(&server, identity).runs_with("services", "orders").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issued_certificate_opens_the_group_until_it_is_revoked() {
    let (server, shell) = started().await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    let place = folder.path().display().to_string();
    let issue = ["node", "certificate", "issue", "--write", &place, "--days", "20"];
    let id = shell.run(&issue).await.expect_code(0).stdout().trim().to_owned();
    let again = shell.run(&issue).await.expect_code(1);
    assert!(again.stderr().contains("exists already"), "{}", again.stderr());
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect(name);
    let mode = folder
        .path()
        .join("tls.key")
        .metadata()
        .expect("the key")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let pair = Pair {
        certificate: read("tls.crt"),
        key: read("tls.key"),
    };
    let identity = Identity::pki(&pair, &read("ca.crt"), "localhost");
    let node = kong(&server, identity);
    node.runs_with("services", "orders").await;
    let listed = said(&shell, &["node", "certificate", "list"]).await;
    assert_eq!(
        listed.as_array().map(Vec::len),
        Some(1),
        "the second was refused before it was issued"
    );
    assert!(
        listed[0]["warnings"][0]
            .as_str()
            .is_some_and(|warning| warning.starts_with("expires in "))
    );
    shell
        .run(&["node", "certificate", "revoke", &id, "--yes"])
        .await
        .expect_code(0);
    node.sees("its connection was closed", |seen| {
        (!seen.connected).then_some(())
    })
    .await;
    let attempts = node.observed().attempts;
    let refused =
        |seen: &tests::data_plane::Observed| (seen.attempts > attempts + 1 && !seen.connected).then_some(());
    node.sees("it isn't let in again", refused).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_of_kong_hybrid_gen_cert_is_added_as_it_is_and_its_key_is_refused() {
    let (server, shell) = started().await;
    let pair = Pair::of_kong_hybrid();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a writable folder");
        path.display().to_string()
    };
    let key = write("cluster.key", &pair.key);
    let refused = shell
        .run(&["node", "certificate", "add", &key])
        .await
        .expect_code(1);
    assert!(refused.stderr().contains("private key"), "{}", refused.stderr());
    let certificate = write("cluster.crt", &pair.certificate);
    shell
        .run(&["node", "certificate", "add", &certificate])
        .await
        .expect_code(0);
    let authority = std::fs::read_to_string(server.data_dir().join("ca.pem")).expect("the server writes it");
    let identity = Identity::pki(&pair, &authority, "localhost");
    kong(&server, identity).runs_with("services", "orders").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_runs_nothing_is_not_compared_and_why_is_said() {
    let (server, shell) = started().await;
    let printed = shell.run(&["node", "add", "--platform", "kong-conf"]).await;
    let printed = printed.expect_code(0).stdout();
    let settings = settings(&printed);
    let inside = |key: &str| {
        let text = STANDARD.decode(settings[key]).expect("base64");
        String::from_utf8(text).expect("PEM")
    };
    let pair = Pair {
        certificate: inside("cluster_cert"),
        key: inside("cluster_cert_key"),
    };
    let identity = Identity::pki(&pair, &inside("cluster_ca_cert"), settings["cluster_server_name"]);
    let address = server.dataplane_address().parse().expect("an address");
    let mut refusing = Settings::new(NEWEST, address, identity);
    refusing.dislikes.insert("orders".to_owned());
    let id = refusing.node_id.to_string();
    let node = DataPlane::start(refusing);
    node.sees("has refused it", |observed| observed.refusals.first().cloned())
        .await;
    let refused = shell.run(&["diff", "--node", &id]).await.expect_code(1);
    assert!(refused.stderr().contains("HTTP 409"), "{}", refused.stderr());
    assert!(
        refused.stderr().contains("there is nothing to compare with"),
        "{}",
        refused.stderr()
    );
}

/// Two groups that trust authorities, each with a service of its own, and the admin of one of them.
struct Neighbours {
    server: ServerProcess,
    operator: ApiClient,
    /// The admin of the group `hostile`, and of nothing else.
    hostile: ApiClient,
    root: Authority,
    between: Authority,
}

const HOSTILE: &str = "/v2/runtime-groups/hostile/dp-client-certificates";
const VICTIMS: &str = "/v2/runtime-groups/victims/dp-client-certificates";

impl Neighbours {
    async fn begin() -> Self {
        let server = ServerProcess::start(Log::Sqlite).await;
        let operator = server.api();
        for group in ["victims", "hostile"] {
            let body = json!({ "name": group, "auth_type": "pki_client_certs" });
            operator
                .post("/v2/runtime-groups", &body)
                .await
                .expect_status(201);
            let service = json!({ "name": group, "host": format!("{group}.test") });
            let services = format!("/v2/runtime-groups/{group}/core-entities/services");
            operator.post(&services, &service).await.expect_status(201);
        }
        let token = json!({ "name": "hostile", "role": "admin", "group": "hostile" });
        let token = operator
            .post("/v2/tokens", &token)
            .await
            .expect_status(201)
            .json();
        let hostile = operator.with_token(token["token"].as_str().expect("shown once"));
        let root = Authority::named("Victims' root");
        let between = root.below("Victims' authority");
        let added = operator.post(VICTIMS, &json!({ "cert": root.certificate() }));
        added.await.expect_status(201);
        Self {
            server,
            operator,
            hostile,
            root,
            between,
        }
    }

    /// A node of the victims: its certificate comes from the authority below their root.
    fn victim(&self) -> Pair {
        self.between.issue("victim", true)
    }

    fn node(&self, pair: &Pair) -> DataPlane {
        let authority = self.server.data_dir().join("ca.pem");
        let authority = std::fs::read_to_string(authority).expect("the server writes it");
        kong(&self.server, Identity::pki(pair, &authority, "localhost"))
    }

    /// What the hostile group is answered that adds a certificate; signed by a key, if one is at hand.
    async fn added(&self, certificate: &str, key: Option<&str>) -> Answer {
        let mut body = json!({ "cert": certificate });
        if let Some(key) = key {
            let folder = tempfile::tempdir().expect("a temporary directory");
            let file = folder.path().join("key.pem");
            std::fs::write(&file, key).expect("a writable folder");
            let challenge = self.hostile.get(&format!("{HOSTILE}/challenge")).await;
            let challenge = challenge.expect_status(200).json()["challenge"].clone();
            let challenge = challenge.as_str().expect("a text").to_owned();
            body["proof"] = api::cli::possession_proof::sign(&challenge, &file).expect("the key signs");
        }
        self.hostile.post(HOSTILE, &body).await
    }

    /// Whether a node that comes anew is still answered by its own group, and by no other.
    async fn keeps(&self, pair: &Pair) {
        let node = self.node(pair);
        let runs = node.runs_with("services", "victims").await;
        assert!(runs.find("services", "hostile").is_none());
    }

    /// Whoever asks, a certificate that meets what the victims have doesn't come to the hostile group.
    async fn cannot_be_taken(&self, certificate: &str, stranger: &Pair) {
        let unproven = self.added(certificate, None).await;
        let foreign = self.added(certificate, Some(&stranger.key)).await;
        let by_mistake = self.operator.post(HOSTILE, &json!({ "cert": certificate })).await;
        for answer in [unproven, foreign, by_mistake] {
            assert!(answer.status.is_client_error(), "{}", answer.text());
            assert!(!answer.text().contains("ictims"), "{}", answer.text());
        }
        let listed = self.operator.get(HOSTILE).await.expect_status(200).json();
        assert_eq!(listed["page"]["total"], 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_admin_captures_no_instance_by_adding_its_certificate() {
    let neighbours = Neighbours::begin().await;
    let victim = neighbours.victim();
    neighbours.keeps(&victim).await;
    let leaf = neighbours.root.issue("another victim", false);
    neighbours
        .cannot_be_taken(&leaf.certificate, &Pair::of("stranger"))
        .await;
    // The operator could still be talked into adding one that no known authority issued itself: the admin can't.
    neighbours.added(&victim.alone(), None).await.expect_status(403);
    let mine = Authority::named("Mine").issue_for_the_key_of("victim", &victim);
    neighbours.added(&mine.certificate, None).await.expect_status(403);
    neighbours.keeps(&victim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_admin_captures_no_instances_by_adding_the_authority_between() {
    let neighbours = Neighbours::begin().await;
    let between = neighbours.between.certificate();
    neighbours.cannot_be_taken(&between, &Pair::of("stranger")).await;
    neighbours.keeps(&neighbours.victim()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_admin_captures_no_instances_by_adding_their_root_in_other_bytes() {
    let neighbours = Neighbours::begin().await;
    let root = neighbours.root.pair();
    neighbours
        .cannot_be_taken(&root.altered(), &Pair::of("stranger"))
        .await;
    // Not even with the key: it would have to be another group's as well.
    let answer = neighbours.added(&root.certificate, Some(&root.key)).await;
    answer.expect_status(409);
    neighbours.keeps(&neighbours.victim()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_admin_captures_nobodys_instances_by_adding_the_built_in_authority() {
    let neighbours = Neighbours::begin().await;
    let issued = neighbours
        .operator
        .post(&format!("{VICTIMS}/issue"), &json!({}))
        .await;
    let issued = issued.expect_status(201).json();
    let text = |field: &str| issued[field].as_str().expect("a text").to_owned();
    let victim = Pair {
        certificate: text("cert"),
        key: text("key"),
    };
    let built_in = Pair {
        certificate: text("ca"),
        key: String::new(),
    };
    for certificate in [&built_in.certificate, &built_in.altered()] {
        neighbours
            .cannot_be_taken(certificate, &Pair::of("stranger"))
            .await;
    }
    neighbours.keeps(&victim).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_admin_adds_what_is_its_own_by_its_key() {
    let neighbours = Neighbours::begin().await;
    let own = Authority::named("Own");
    let pair = own.pair();
    neighbours.added(&pair.certificate, None).await.expect_status(403);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a writable folder");
        path.display().to_string()
    };
    let (certificate, key) = (write("ca.crt", &pair.certificate), write("ca.key", &pair.key));
    let shell = CommandLine::of(&neighbours.server.url(), neighbours.hostile.token());
    let add = ["node", "certificate", "add", &certificate, "--group", "hostile"];
    let refused = shell.run(&add).await.expect_code(1);
    assert!(refused.stderr().contains("--key"), "{}", refused.stderr());
    let proven = [&add[..], &["--key", &key]].concat();
    shell.run(&proven).await.expect_code(0);
    let node = neighbours.node(&own.issue("node", false));
    node.runs_with("services", "hostile").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_1_certificate_of_a_groups_authority_opens_the_group() {
    let neighbours = Neighbours::begin().await;
    neighbours.keeps(&neighbours.root.issue_version_1("plain")).await;
    let below = neighbours.between.issue_version_1("plain below");
    let chain = Pair {
        certificate: below.certificate + &neighbours.between.certificate(),
        key: below.key,
    };
    let refused = neighbours.node(&chain);
    let mut server = neighbours.server;
    eventually("the server says what to do about it", async || {
        let said = server.process().printed();
        let told = said.contains("make a version 3 certificate");
        told.then_some(()).ok_or(said)
    })
    .await;
    assert_eq!(refused.observed().hash(), None);
}
