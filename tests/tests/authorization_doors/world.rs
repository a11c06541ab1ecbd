//! A server with groups of every kind, and what opens them to instances.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tests::api_client::ApiClient;
use tests::data_plane::{Authority, Identity, KongVersion, Pair, Settings, tls};
use tests::server_process::{Log, ServerProcess};
use tokio_rustls::TlsConnector;

pub(crate) const GROUPS: &str = "/v2/runtime-groups";

/// A certificate, and the group whose instances have it, if it is good for any.
pub(crate) struct Shown {
    pub(crate) name: &'static str,
    pub(crate) pair: Pair,
    pub(crate) opens: Option<&'static str>,
}

pub(crate) struct World {
    pub(crate) server: ServerProcess,
    pub(crate) shown: Vec<Shown>,
    built_in: String,
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl World {
    /// Everything is there.
    pub(crate) async fn begin() -> Self {
        let mut world = Self::bare().await;
        for (name, auth_type) in [
            ("pinned", "pinned_client_certs"),
            ("pki", "pki_client_certs"),
            ("deleted", "pki_client_certs"),
            ("restored", "pki_client_certs"),
        ] {
            let body = json!({ "auth_type": auth_type, "runtime_type": "kong-gateway" });
            world.group(name, body).await;
        }
        world.group("native", json!({ "runtime_type": "native" })).await;
        world.certificates_of("pki", Some("pki")).await;
        world.certificates_of("deleted", None).await;
        world.certificates_of("restored", Some("restored")).await;
        world.certificates_of_pinned().await;
        let of_native = Pair::of("native");
        world.add("native", &of_native.certificate).await;
        world.show("one of a group of another type", of_native, None);
        world.show("one of nobody", Pair::of("nobody"), None);
        for name in ["deleted", "restored"] {
            let group = world.id(name).await;
            let path = format!("{GROUPS}/{group}");
            world.server.api().delete(&path).await.expect_status(204);
            if name == "restored" {
                let restore = world.server.api().post(&format!("{path}/restore"), &json!({}));
                restore.await.expect_status(200);
            }
        }
        world
    }

    /// Nothing but the group `default`.
    pub(crate) async fn bare() -> Self {
        // Everybody comes from one address.
        let unlimited = ["--requests-per-token", "0", "--requests-per-address", "0"];
        let mut server = ServerProcess::prepare(Log::Sqlite).with_arguments(&unlimited);
        server.start_again();
        server.ready().await;
        let built_in = std::fs::read_to_string(server.data_dir().join("ca.pem"));
        Self {
            server,
            shown: Vec::new(),
            built_in: built_in.expect("the server writes it"),
        }
    }

    /// A group with a service of its name.
    pub(crate) async fn group(&self, name: &str, mut body: Value) {
        let api = self.server.api();
        body["name"] = json!(name);
        api.post(GROUPS, &body).await.expect_status(201);
        let service = json!({ "name": name, "host": format!("{name}.test") });
        let made = api.group(name).post("services", &service).await;
        made.expect_status(201);
    }

    /// A token and its id.
    pub(crate) async fn token(&self, role: &str, group: Option<&str>) -> (String, String) {
        let body = json!({ "name": role, "role": role, "group": group });
        let made = self.server.api().post("/v2/tokens", &body).await;
        let made = made.expect_status(201).json();
        (text(&made["token"]), text(&made["id"]))
    }

    pub(crate) async fn holder(&self, role: &str, group: Option<&str>) -> ApiClient {
        self.server.api_as(&self.token(role, group).await.0)
    }

    pub(crate) async fn id(&self, group: &str) -> String {
        let group = self.server.api().get(&format!("{GROUPS}/{group}")).await;
        text(&group.expect_status(200).json()["id"])
    }

    /// The position of the last record, as the server tells it.
    pub(crate) async fn log_end(&self) -> Value {
        let ready = self.server.api().get("/readyz").await.expect_status(200);
        ready.json()["checks"]["log"]["position"].clone()
    }

    /// The settings of a node that shows a certificate.
    pub(crate) fn settings(&self, version: KongVersion, pair: &Pair) -> Settings {
        let identity = Identity::pki(pair, &self.built_in, "localhost");
        Settings::new(version, self.address(), identity)
    }

    /// A connector that shows a certificate, or none.
    pub(crate) fn connector(&self, settings: &Settings, shows: bool) -> TlsConnector {
        if shows {
            return tls::connector(&settings.identity, settings.tls_versions);
        }
        let mut roots = RootCertStore::empty();
        let built_in = CertificateDer::from_pem_slice(self.built_in.as_bytes()).expect("PEM");
        roots.add(built_in).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    fn address(&self) -> SocketAddr {
        self.server.dataplane_address().parse().expect("an address")
    }

    fn show(&mut self, name: &'static str, pair: Pair, opens: Option<&'static str>) {
        self.shown.push(Shown { name, pair, opens });
    }

    async fn add(&self, group: &str, certificate: &str) -> String {
        let path = format!("{GROUPS}/{group}/dp-client-certificates");
        let added = self
            .server
            .api()
            .post(&path, &json!({ "cert": certificate }))
            .await;
        text(&added.expect_status(201).json()["item"]["id"])
    }

    async fn remove(&self, group: &str, id: &str) {
        let path = format!("{GROUPS}/{group}/dp-client-certificates/{id}");
        self.server.api().delete(&path).await.expect_status(204);
    }

    /// What a group has that trusts authorities.
    async fn certificates_of(&mut self, group: &'static str, opens: Option<&'static str>) {
        let root = Authority::named(&format!("{group} root"));
        let between = root.below(&format!("{group} between"));
        let alone = Pair::of(&format!("{group} alone"));
        self.add(group, &root.certificate()).await;
        self.add(group, &alone.certificate).await;
        let issue = format!("{GROUPS}/{group}/dp-client-certificates/issue");
        let issued = self.server.api().post(&issue, &json!({})).await;
        let issued = issued.expect_status(201).json();
        let issued = Pair {
            certificate: text(&issued["cert"]),
            key: text(&issued["key"]),
        };
        let removed = Authority::named(&format!("{group} former root"));
        let id = self.add(group, &removed.certificate()).await;
        self.remove(group, &id).await;
        self.show("one of its own, in a group that trusts authorities", alone, opens);
        self.show("one that the built-in CA issued", issued, opens);
        self.show("one that the group's CA issued", root.issue("near", false), opens);
        self.show("one of an authority between", between.issue("far", true), opens);
        self.show("one of version 1", root.issue_version_1("old"), opens);
        self.show("one whose issuer isn't shown", between.issue("far", false), None);
        self.show(
            "one of an authority that was removed",
            removed.issue("near", false),
            None,
        );
        self.show(
            "one that has expired",
            root.issue_between("late", 2020, 2021),
            None,
        );
        self.show(
            "one that isn't valid yet",
            root.issue_between("early", 2060, 2061),
            None,
        );
    }

    /// What a group has that trusts nothing but what it lists.
    async fn certificates_of_pinned(&mut self) {
        let root = Authority::named("pinned root");
        let (listed, removed) = (Pair::of("listed"), Pair::of("removed"));
        self.add("pinned", &root.certificate()).await;
        self.add("pinned", &listed.certificate).await;
        let id = self.add("pinned", &removed.certificate).await;
        self.remove("pinned", &id).await;
        let stolen = listed.with_the_key_of(&removed);
        self.show("one that is listed", listed, Some("pinned"));
        self.show("one that was removed", removed, None);
        self.show("one without its key", stolen, None);
        self.show("one of a CA that is only listed", root.issue("near", false), None);
    }
}
