//! The real program: what the admins do goes over HTTP, and instances come by TLS and are sent a configuration.

use std::time::Duration;

use domain::organization::AuthType;
use reqwest::Method;
use serde_json::{Value, json};
use tests::api_client::{Answer, ApiClient};
use tests::data_plane::configuration::{NO_HASH, inflate};
use tests::data_plane::settings::random_id;
use tests::data_plane::websocket::Opcode;
use tests::data_plane::wire::Wire;
use tests::data_plane::{Identity, KongVersion, Pair, Settings, tls};
use tests::server_process::{Log, ServerProcess};

use crate::belongings::{Belongings, Known, Side};
use crate::installation::signature;
use crate::steps::{Proof, Step};

const GROUPS: &str = "/v2/runtime-groups";
/// For how long an instance waits for its configuration.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server for all sequences.
pub(crate) struct Served {
    server: ServerProcess,
    built_in: String,
}

/// Two groups of their own for one sequence.
pub(crate) struct Groups<'server> {
    served: &'server Served,
    operator: ApiClient,
    ids: [String; 2],
    names: [String; 2],
    admins: [ApiClient; 2],
    known: Vec<Known>,
    issued: Vec<(Side, Pair)>,
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

impl Served {
    pub(crate) async fn start() -> Self {
        let server = ServerProcess::prepare(Log::Sqlite);
        // All of them come from one address.
        let mut server = server.with_arguments(&["--requests-per-token", "0", "--requests-per-address", "0"]);
        server.start_again();
        server.ready().await;
        let built_in = std::fs::read_to_string(server.data_dir().join("ca.pem"));
        Self {
            server,
            built_in: built_in.expect("the server writes it"),
        }
    }

    pub(crate) fn built_in(&self) -> &str {
        &self.built_in
    }

    pub(crate) async fn two_groups(&self, known: Vec<Known>) -> Groups<'_> {
        let operator = self.server.api();
        let (mut ids, mut names, mut admins) = (Vec::new(), Vec::new(), Vec::new());
        for side in Side::BOTH {
            let name = format!("{}-{}", side.name(), random_id());
            let group = json!({ "name": name, "auth_type": AuthType::PkiClientCerts });
            let made = operator.post(GROUPS, &group).await.expect_status(201).json();
            let service = json!({ "name": name, "host": "of.test" });
            let services = format!("{GROUPS}/{name}/core-entities/services");
            operator.post(&services, &service).await.expect_status(201);
            let token = json!({ "name": name, "role": "admin", "group": name });
            let token = operator
                .post("/v2/tokens", &token)
                .await
                .expect_status(201)
                .json();
            ids.push(text(&made["id"]));
            names.push(name);
            admins.push(operator.with_token(&text(&token["token"])));
        }
        let both = "there are two sides";
        Groups {
            served: self,
            operator,
            ids: ids.try_into().expect(both),
            names: names.try_into().expect(both),
            admins: admins.try_into().expect(both),
            known,
            issued: Vec::new(),
        }
    }
}

impl Groups<'_> {
    pub(crate) fn name(&self, side: Side) -> &str {
        &self.names[side as usize]
    }

    /// Which of all certificates is one's own root.
    pub(crate) fn own_root(&self, side: Side) -> usize {
        let own = |known: &Known| known.keyholder == Some(side);
        self.known.iter().position(own).expect("both have one")
    }

    /// What the instances of one of them show.
    pub(crate) fn instances(&self, side: Side, belongings: &[Belongings; 2]) -> Vec<Pair> {
        let issued = self.issued.iter().filter(|(to, _)| *to == side);
        let issued = issued.map(|(_, pair)| pair);
        let own = belongings[side as usize].instances.iter();
        own.chain(issued).cloned().collect()
    }

    pub(crate) async fn make(&mut self, step: &Step) {
        // Refusals are what is hoped for half of the time.
        match *step {
            Step::Add(side, index, proof) => {
                let known = self.known[index % self.known.len()].clone();
                let mut body = json!({ "cert": known.pair.alone() });
                if let Some(proof) = self.proof(side, &known, proof).await {
                    body["proof"] = proof;
                }
                drop(
                    self.ask(side, Method::POST, "/dp-client-certificates", &body)
                        .await,
                );
            }
            Step::Issue(side) => self.issue(side).await,
            Step::Remove(side, index) => self.remove(side, index).await,
            Step::Trust(side, auth_type) => {
                let body = json!({ "auth_type": auth_type });
                drop(self.ask(side, Method::PATCH, "", &body).await);
            }
            Step::Delete(side) => drop(self.ask(side, Method::DELETE, "", &json!({})).await),
            // An admin of one group has no say in these.
            Step::Restore(side) => drop(self.operator.post(&self.path(side, "/restore"), &json!({})).await),
            Step::Purge(side) => drop(self.operator.post(&self.path(side, "/purge"), &json!({})).await),
        }
    }

    fn path(&self, side: Side, below: &str) -> String {
        format!("{GROUPS}/{}{below}", self.ids[side as usize])
    }

    async fn ask(&self, side: Side, method: Method, below: &str, body: &Value) -> Answer {
        let admin = &self.admins[side as usize];
        let answer = admin.call(method, &self.path(side, below)).json(body).await;
        assert!(!answer.status.is_server_error(), "{}", answer.text());
        answer
    }

    async fn issue(&mut self, side: Side) {
        let issued = self
            .ask(side, Method::POST, "/dp-client-certificates/issue", &json!({}))
            .await;
        if issued.status == 201 {
            let issued = issued.json();
            let pair = Pair {
                certificate: text(&issued["cert"]),
                key: text(&issued["key"]),
            };
            self.known.push(Known {
                pair: pair.clone(),
                keyholder: Some(side),
            });
            self.issued.push((side, pair));
        }
    }

    async fn remove(&self, side: Side, index: usize) {
        let all = "/dp-client-certificates";
        let listed = self.ask(side, Method::GET, all, &json!({})).await.json();
        let items = listed["items"].as_array().cloned().unwrap_or_default();
        if let Some(item) = items.get(index % 8) {
            let one = format!("{all}/{}", text(&item["id"]));
            drop(self.ask(side, Method::DELETE, &one, &json!({})).await);
        }
    }

    async fn proof(&self, side: Side, known: &Known, proof: Proof) -> Option<Value> {
        let mine = || Pair::of("mine").key;
        let owners = || match known.keyholder {
            Some(_) => known.pair.key.clone(),
            None => mine(),
        };
        let (challenged, key) = match proof {
            // Nobody waits here until a challenge is too old.
            Proof::Nothing | Proof::Stale => return None,
            Proof::OwnGroup if known.keyholder == Some(side) => (side, owners()),
            Proof::OwnGroup => (side, mine()),
            Proof::Overheard => (known.keyholder.unwrap_or(side), owners()),
        };
        let challenge = "/dp-client-certificates/challenge";
        let challenge = self.ask(challenged, Method::GET, challenge, &json!({})).await;
        // A deleted group has none.
        let challenge = challenge.json()["challenge"].as_str()?.to_owned();
        let signature = signature(&challenge, &key);
        Some(json!({ "challenge": challenge, "signature": signature }))
    }

    /// The name of the group whose configuration an instance is sent; none where it isn't answered.
    pub(crate) async fn answerer(&self, pair: &Pair) -> Option<String> {
        let identity = Identity::pki(pair, self.served.built_in(), "localhost");
        let address = self
            .served
            .server
            .dataplane_address()
            .parse()
            .expect("an address");
        let settings = Settings::new(KongVersion::new(3, 9, 1), address, identity);
        let connector = tls::connector(&settings.identity, settings.tls_versions);
        let mut wire = Wire::open(&settings, &connector).await.ok()?;
        let target = settings.target("/v1/outlet");
        let head = wire.upgrade(&settings, &target, None).await.ok()?;
        assert_eq!(head.status(), 101);
        // Who says first what it runs isn't waited for.
        wire.write(Opcode::Ping, NO_HASH.as_bytes()).await.ok()?;
        let info = json!({ "type": "basic_info", "plugins": [] }).to_string();
        wire.write(Opcode::Binary, info.as_bytes()).await.ok()?;
        loop {
            let frame = wire.read_patiently(PATIENCE).await.ok()?;
            if frame.opcode == Opcode::Binary {
                let sent = inflate(&frame.payload).expect("a configuration can be inflated");
                return Some(text(&sent["config_table"]["services"][0]["name"]));
            }
        }
    }
}
