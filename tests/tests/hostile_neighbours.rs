//! Eight groups whose admins, viewers and instances mean harm beside eight groups that only work: these go on as if they were alone.
//!
//! `HOSTILE_SECONDS` says for how long (a few seconds unless told otherwise). What was measured is printed; that the innocents'
//! slowest requests stay within three times of the undisturbed is checked from 60 seconds on: shorter runs see too few of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tests::agent_process::AgentProcess;
use tests::eventually::eventually;
use tests::server_process::{Log, ServerProcess};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const GROUPS: u8 = 8;
/// How long, unless told otherwise.
const SECONDS: u64 = 4;
/// From how long on the ratio is checked.
const JUDGED_FROM: u64 = 60;
/// How much slower the innocents' slowest requests may become.
const RATIO: f64 = 3.0;
/// The pause of an innocent between two rounds of requests.
const PACE: Duration = Duration::from_millis(40);
/// How many silent connections each hostile viewer holds.
const SILENT: usize = 60;
/// How many event streams each hostile viewer follows at once.
const STREAMS: usize = 20;

#[test]
#[expect(clippy::print_stderr, reason = "what was measured is what it is run for")]
fn innocent_groups_go_on_as_if_they_were_alone() {
    let (setting, innocents, hostiles) = (
        runtime("setting", 0),
        runtime("innocent", 0),
        runtime("hostile", 10),
    );
    let (server, scene) = setting.block_on(Scene::set());
    let scene = Arc::new(scene);
    let seconds = seconds();

    let alone = innocents.block_on(work(&scene, Duration::from_secs((seconds / 2).max(2))));
    let stop = Arc::new(AtomicBool::new(false));
    let harm = hostiles.spawn(do_harm(Arc::clone(&scene), Arc::clone(&stop)));
    setting.block_on(eventually("harm is being done", async || {
        match scene.harm.load(Ordering::Relaxed) {
            done if done >= usize::from(GROUPS) => Ok(()),
            done => Err(format!("{done} requests")),
        }
    }));
    let beside = innocents.block_on(work(&scene, Duration::from_secs(seconds)));
    stop.store(true, Ordering::Relaxed);
    let refused = setting.block_on(harm).expect("the hostile come to their end");

    let (before, after) = (alone.p99(), beside.p99());
    let ratio = after.as_secs_f64() / before.as_secs_f64();
    eprintln!(
        "innocents alone: {alone}\ninnocents beside {GROUPS} hostile groups: {beside}\nratio of the 99th percentiles: {ratio:.2}\nhostile requests: {}, refused: {refused:?}",
        scene.harm.load(Ordering::Relaxed)
    );
    setting.block_on(async {
        server.api().get("/readyz").await.expect_status(200);
        for group in &scene.innocent {
            let answer = group
                .client
                .get(group.entity("services/orders"))
                .bearer_auth(&group.admin);
            assert_eq!(
                answer.send().await.expect("an answer comes").status(),
                StatusCode::OK
            );
        }
    });
    if seconds >= JUDGED_FROM {
        assert!(ratio <= RATIO, "the innocents became {ratio:.2} times slower");
    }
}

fn seconds() -> u64 {
    let told = std::env::var("HOSTILE_SECONDS");
    told.map_or(SECONDS, |seconds| {
        seconds.parse().expect("HOSTILE_SECONDS is a number")
    })
}

/// The hostile share the processors of this machine with those they harm, which they wouldn't elsewhere: they get what is left.
fn runtime(name: &str, nicer: i32) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name(name)
        .on_thread_start(move || {
            let now = rustix::process::getpriority_process(None).unwrap_or_default();
            rustix::process::setpriority_process(None, now + nicer).expect("a thread may be nicer");
        })
        .enable_all()
        .build()
        .expect("a runtime can be made")
}

/// One runtime group and those who come for it, from an address of their own.
struct Tenant {
    server: String,
    api: SocketAddr,
    instances: SocketAddr,
    name: String,
    address: IpAddr,
    client: Client,
    admin: String,
    viewer: String,
    _instance: AgentProcess,
}

struct Scene {
    innocent: Vec<Tenant>,
    hostile: Vec<Tenant>,
    /// How many hostile requests were answered.
    harm: AtomicUsize,
}

impl Scene {
    async fn set() -> (ServerProcess, Self) {
        // What an installation sets whose tenants don't trust each other: see "Computing, memory and rates" in docs/operations.md.
        let arguments = [
            "--requests-per-token",
            "100",
            "--requests-per-address",
            "200",
            "--connections-per-address",
            "100",
        ];
        let mut server = ServerProcess::prepare(Log::Sqlite).with_arguments(&arguments);
        server.start_again();
        server.ready().await;
        let (mut innocent, mut hostile) = (Vec::new(), Vec::new());
        for number in 0..GROUPS {
            innocent.push(Tenant::settle(&server, "innocent", 1, number).await);
            hostile.push(Tenant::settle(&server, "hostile", 2, number).await);
        }
        let scene = Self {
            innocent,
            hostile,
            harm: AtomicUsize::new(0),
        };
        (server, scene)
    }
}

impl Tenant {
    async fn settle(server: &ServerProcess, kind: &str, network: u8, number: u8) -> Self {
        let (api, name) = (server.api(), format!("{kind}-{number}"));
        let group = api.create_group(&name).await;
        let mut tokens = Vec::new();
        for role in ["admin", "viewer"] {
            let body = json!({ "name": format!("{name}-{role}"), "role": role, "group": group["id"] });
            let made = api.post("/v2/tokens", &body).await.expect_status(201).json();
            tokens.push(made["token"].as_str().expect("a new token is shown").to_owned());
        }
        let instance = api.instance_token(&name).await;
        let address = Ipv4Addr::new(127, 0, network, number + 1).into();
        let viewer = tokens.pop().expect("there are two");
        Self {
            server: server.url(),
            api: server
                .url()
                .trim_start_matches("http://")
                .parse()
                .expect("an address"),
            instances: server.dataplane_address().parse().expect("an address"),
            _instance: AgentProcess::start(server, &name, &instance),
            client: Client::builder()
                .local_address(address)
                .build()
                .expect("a client"),
            name,
            address,
            admin: tokens.pop().expect("there are two"),
            viewer,
        }
    }

    fn beside(&self, path: &str) -> String {
        format!("{}/v2/runtime-groups/{}/{path}", self.server, self.name)
    }

    fn entity(&self, path: &str) -> String {
        self.beside(&format!("core-entities/{path}"))
    }
}

/// What innocents ask for, one after the other.
const ASKED: [&str; 3] = ["writes", "reads of what was written", "lists"];

/// How long each took them.
struct Measured([Histogram<u64>; ASKED.len()]);

impl Measured {
    fn new() -> Self {
        Self(std::array::from_fn(|_| {
            Histogram::new(3).expect("three digits can be kept")
        }))
    }

    fn all(&self) -> Histogram<u64> {
        let mut all = self.0[0].clone();
        for one in &self.0[1..] {
            all += one;
        }
        all
    }

    fn p99(&self) -> Duration {
        Duration::from_micros(self.all().value_at_quantile(0.99))
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.all();
        let kinds = ASKED.iter().copied().zip(&self.0);
        for (what, times) in [("requests", &all)].into_iter().chain(kinds) {
            let at = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
            write!(
                formatter,
                "\n  {} {what}: median {:.1} ms, 99 % {:.1} ms, slowest {:.1} ms",
                times.len(),
                at(0.5),
                at(0.99),
                times.max() as f64 / 1_000.0
            )?;
        }
        Ok(())
    }
}

/// Every innocent group writes and reads for a while.
async fn work(scene: &Arc<Scene>, time: Duration) -> Measured {
    let mut working = JoinSet::new();
    for number in 0..scene.innocent.len() {
        let scene = Arc::clone(scene);
        working.spawn(async move { work_in(&scene.innocent[number], time).await });
    }
    let mut all = Measured::new();
    while let Some(measured) = working.join_next().await {
        let measured = measured.expect("an innocent comes to its end");
        for (all, one) in all.0.iter_mut().zip(measured.0) {
            *all += one;
        }
    }
    all
}

async fn work_in(tenant: &Tenant, time: Duration) -> Measured {
    let mut measured = Measured::new();
    let [writes, reads, lists] = &mut measured.0;
    let (began, mut round) = (Instant::now(), 0_u64);
    while began.elapsed() < time {
        round += 1;
        let host = format!("{}-{round}.test", tenant.name);
        let body = json!({ "name": "orders", "host": host });
        let put = tenant.client.put(tenant.entity("services/orders")).json(&body);
        asked(tenant, put, writes).await;
        let read = asked(tenant, tenant.client.get(tenant.entity("services/orders")), reads).await;
        assert_eq!(read["host"], host.as_str(), "what was written is read");
        let list = asked(tenant, tenant.client.get(tenant.entity("services")), lists).await;
        assert_eq!(
            list["data"].as_array().map(Vec::len),
            Some(1),
            "the group has its own and nothing else"
        );
        tokio::time::sleep(PACE).await;
    }
    measured
}

async fn asked(tenant: &Tenant, request: reqwest::RequestBuilder, measured: &mut Histogram<u64>) -> Value {
    let began = Instant::now();
    let answer = request
        .bearer_auth(&tenant.admin)
        .send()
        .await
        .expect("an innocent is answered");
    let (status, body) = (answer.status(), answer.text().await.expect("an answer is whole"));
    let took = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    measured.record(took).expect("a time can be kept");
    assert!(status.is_success(), "an innocent was answered {status}: {body}");
    serde_json::from_str(&body).expect("an answer is JSON")
}

/// How many hostile requests were refused, and answered, by status.
type Answered = std::collections::BTreeMap<u16, usize>;

async fn do_harm(scene: Arc<Scene>, stop: Arc<AtomicBool>) -> Answered {
    let mut hostile = JoinSet::new();
    for number in 0..scene.hostile.len() {
        for part in 0..4 {
            let (scene, stop) = (Arc::clone(&scene), Arc::clone(&stop));
            hostile.spawn(async move {
                let tenant = &scene.hostile[number];
                let mut answered = Answered::new();
                while !stop.load(Ordering::Relaxed) {
                    match part {
                        0 => admin(tenant, &scene, &mut answered).await,
                        1 => viewer(tenant, &scene, &mut answered).await,
                        2 => guess(tenant, &scene, &mut answered).await,
                        _ => connections(tenant, &stop).await,
                    }
                }
                answered
            });
        }
    }
    let mut all = Answered::new();
    while let Some(answered) = hostile.join_next().await {
        for (status, count) in answered.expect("the hostile don't break off") {
            *all.entry(status).or_default() += count;
        }
    }
    all
}

/// Sends a request and counts its answer; being cut off is one too.
async fn harm(scene: &Scene, answered: &mut Answered, request: reqwest::RequestBuilder) {
    let status = match request.send().await {
        Ok(answer) => {
            let status = answer.status();
            drop(answer.bytes().await);
            status.as_u16()
        }
        Err(_) => 0,
    };
    scene.harm.fetch_add(1, Ordering::Relaxed);
    *answered.entry(status).or_default() += 1;
}

/// An admin who asks for what is dear.
async fn admin(tenant: &Tenant, scene: &Scene, answered: &mut Answered) {
    let as_admin =
        |method: Method, url: String| tenant.client.request(method, url).bearer_auth(&tenant.admin);
    let nested = (0..3).fold("[a-z]".repeat(100), |inner, _| format!("({inner}){{1,9}}"));
    let route = json!({ "name": "r", "paths": [format!("~/{nested}$")] });
    harm(
        scene,
        answered,
        as_admin(Method::POST, tenant.entity("routes")).json(&route),
    )
    .await;
    let zeros = format!("{{\"services\":[{}0]}}", "0,".repeat(1_000_000));
    let diff = as_admin(Method::POST, tenant.beside("diff")).header("content-type", "application/json");
    harm(scene, answered, diff.body(zeros)).await;
    let services: Vec<Value> = (0..500)
        .map(|number| json!({ "name": format!("s{number}"), "host": format!("{number}.test"), "port": 80 + scene.harm.load(Ordering::Relaxed) % 100 }))
        .collect();
    let file = json!({ "_format_version": "3.0", "services": services });
    harm(
        scene,
        answered,
        as_admin(Method::POST, tenant.beside("apply?prune=true")).json(&file),
    )
    .await;
    let tags: Vec<String> = (0..50_000).map(|number| format!("tag{number}")).collect();
    let tagged = json!({ "name": "tagged", "host": "tagged.test", "tags": tags });
    harm(
        scene,
        answered,
        as_admin(Method::POST, tenant.entity("services")).json(&tagged),
    )
    .await;
    let form: Vec<String> = (1..20_000).map(|number| format!("tags[{number}]=t")).collect();
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let form = as_admin(Method::POST, tenant.entity("services"))
        .header(kind.0, kind.1)
        .body(form.join("&"));
    harm(scene, answered, form).await;
    let hashed: Vec<Value> = (0..100)
        .map(|number| json!({ "method": "POST", "path": "/consumers", "body": { "username": format!("c{number}") } }))
        .collect();
    harm(
        scene,
        answered,
        as_admin(Method::POST, tenant.beside("transactions")).json(&json!({ "operations": hashed })),
    )
    .await;
    harm(
        scene,
        answered,
        as_admin(Method::POST, tenant.beside("rollback?dry_run")).json(&json!({ "to": 1 })),
    )
    .await;
}

/// A viewer who asks without a pause, follows events and leaves.
async fn viewer(tenant: &Tenant, scene: &Scene, answered: &mut Answered) {
    let as_viewer = |url: String| tenant.client.get(url).bearer_auth(&tenant.viewer);
    let mut streams = Vec::new();
    for _ in 0..STREAMS {
        streams.push(as_viewer(tenant.beside("events")).send().await);
        harm(scene, answered, as_viewer(tenant.entity("services?size=1000"))).await;
        harm(scene, answered, as_viewer(tenant.beside("dump"))).await;
        harm(scene, answered, as_viewer(tenant.beside("diff?from=0"))).await;
    }
}

/// Somebody who tries tokens.
async fn guess(tenant: &Tenant, scene: &Scene, answered: &mut Answered) {
    let number = scene.harm.load(Ordering::Relaxed).to_le_bytes();
    let mut seed = [tenant.name.as_bytes()[8]; 32];
    seed[..8].copy_from_slice(&number);
    let token = domain::token::write(domain::token::Role::Admin, seed);
    let request = tenant
        .client
        .get(tenant.entity("services"))
        .bearer_auth(token.expose());
    harm(scene, answered, request).await;
}

/// Somebody who connects to both listeners and says nothing, or half of something.
async fn connections(tenant: &Tenant, stop: &AtomicBool) {
    let mut silent = Vec::new();
    for number in 0..SILENT {
        for to in [tenant.api, tenant.instances] {
            if let Ok(mut stream) = connect(tenant.address, to).await {
                let beginning: &[u8] = match number % 3 {
                    0 => b"",
                    1 => b"PRI * HTTP/2.0\r\n",
                    _ => b"\x16\x03\x01\x02\x00\x01",
                };
                drop(stream.write_all(beginning).await);
                silent.push(stream);
            }
        }
        if stop.load(Ordering::Relaxed) {
            return;
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn connect(from: IpAddr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}
