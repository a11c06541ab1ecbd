//! A server with a group, and nodes whose certificate is pinned to it.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::api_client::{ApiClient, GroupClient};
use tests::data_plane::{Configuration, DataPlane, Identity, KongVersion, Pair, Settings};
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};

/// The name in the certificate of the data-plane listener that nodes in pki mode check.
pub(crate) const SERVER_NAME: &str = "localhost";

/// A server, the group `default` and a pair whose certificate is pinned to it.
pub(crate) struct World {
    pub(crate) server: ServerProcess,
    pub(crate) group: GroupClient,
    pub(crate) pair: Pair,
    authority: String,
}

impl World {
    /// On SQLite.
    pub(crate) async fn begin() -> Self {
        Self::begin_with(ServerProcess::prepare(Log::Sqlite)).await
    }

    /// On a prepared server.
    pub(crate) async fn begin_with(mut server: ServerProcess) -> Self {
        server.start_again();
        server.ready().await;
        let path = server.data_dir().join("ca.pem");
        let authority = std::fs::read_to_string(&path).expect("a server writes its authority down");
        let group = server.api().group("default");
        let pair = Pair::of("kong_clustering");
        let world = Self {
            server,
            group,
            pair,
            authority,
        };
        world.pin("default", &world.pair).await;
        world
    }

    /// The API, seen by the administrator.
    pub(crate) fn api(&self) -> ApiClient {
        self.server.api()
    }

    /// Pins a certificate to a group; answers what the list has of it.
    pub(crate) async fn pin(&self, group: &str, pair: &Pair) -> Value {
        let path = format!("/v2/runtime-groups/{group}/dp-client-certificates");
        let body = json!({ "cert": pair.certificate });
        let made = self.api().post(&path, &body).await.expect_status(201).json();
        made["item"].clone()
    }

    /// The settings of a node in pki mode that shows the pinned certificate.
    pub(crate) fn settings(&self, version: &str) -> Settings {
        self.settings_of(version, &self.pair)
    }

    /// The settings of a node in pki mode that shows this certificate.
    pub(crate) fn settings_of(&self, version: &str, pair: &Pair) -> Settings {
        let version: KongVersion = version.parse().expect("the version is one");
        let address = self.server.dataplane_address();
        let identity = Identity::pki(pair, &self.authority, SERVER_NAME);
        Settings::new(version, address.parse().expect("the address is one"), identity)
    }

    /// A node of a version, started.
    pub(crate) fn node(&self, version: &str) -> DataPlane {
        DataPlane::start(self.settings(version))
    }

    /// A node of each version.
    pub(crate) fn every_version(&self) -> Vec<DataPlane> {
        versions().iter().map(|version| self.node(version)).collect()
    }

    /// Applies a file as one change; answers the group's version.
    pub(crate) async fn apply(&self, file: &Value) -> u64 {
        static APPLIED: AtomicU64 = AtomicU64::new(0);
        let file = file.to_string();
        let key = format!("file-{}", APPLIED.fetch_add(1, Ordering::Relaxed));
        // What a busy machine doesn't decide in time is asked for again, as it says.
        let answer = eventually("the file is applied", async || {
            let applied = self.group.apply(&file, "").header("idempotency-key", &key).await;
            match applied.status {
                StatusCode::SERVICE_UNAVAILABLE => Err(applied.text()),
                _ => Ok(applied),
            }
        });
        answer.await.expect_status(200).group_version()
    }

    /// Waits until every node runs a configuration in which an entity is as `look` wants it; answers what each runs.
    pub(crate) async fn reach(
        &self,
        nodes: &[DataPlane],
        what: &str,
        look: impl Fn(&Configuration) -> bool,
    ) -> Vec<Configuration> {
        let mut reached = Vec::new();
        for node in nodes {
            reached.push(node.runs(what, &look).await);
        }
        reached
    }

    /// Waits until the group's list has a node as `look` wants it; answers it.
    pub(crate) async fn listed(&self, node: &DataPlane, what: &str, look: impl Fn(&Value) -> bool) -> Value {
        let id = node.settings().node_id.to_string();
        let version = &node.settings().version_text;
        let what = format!("the record of Kong {version} shows: {what}");
        eventually(&what, async || {
            let nodes = self.group.nodes().await;
            let found = nodes.into_iter().find(|record| record["id"] == id.as_str());
            match found {
                Some(record) if look(&record) => Ok(record),
                Some(record) => Err(record.to_string()),
                None => Err("there is no record of it".to_owned()),
            }
        })
        .await
    }

    /// The value of a metric whose name and labels begin so; 0 while there is none.
    pub(crate) async fn metric(&self, beginning: &str) -> f64 {
        let text = self.api().get("/metrics").await.expect_status(200).text();
        let lines = text.lines().filter(|line| line.starts_with(beginning));
        lines
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
            .sum()
    }

    /// Creates a service with a route that has its name, in one change.
    pub(crate) async fn add_service(&self, name: &str) {
        let file = json!({ "_format_version": "3.0", "services": [{
            "name": name, "host": format!("{name}.test"),
            "routes": [{ "name": name, "paths": [format!("/{name}")] }],
        }]});
        self.apply(&file).await;
    }
}

/// Every version that is simulated.
pub(crate) fn versions() -> Vec<String> {
    KongVersion::ALL.iter().map(ToString::to_string).collect()
}

/// A node is as it should be: it has refused nothing and heard nothing that it doesn't know.
pub(crate) fn content(node: &DataPlane) {
    let observed = node.observed();
    let version = &node.settings().version_text;
    assert_eq!(
        observed.refusals,
        Vec::<Vec<String>>::new(),
        "Kong {version} has refused something"
    );
    assert_eq!(
        observed.unknown_frames, 0,
        "Kong {version} has heard what it doesn't know"
    );
}
