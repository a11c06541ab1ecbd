//! From a change to its verified acknowledgement by the last of many agents, which all run in this process and share
//! one base configuration; what travels, who spends what, what an idle agent costs. Of several servers the first takes the
//! changes and each has its share of the agents.

use std::time::{Duration, Instant};

use anyhow::Context;
use hdrhistogram::Histogram;
use serde_json::json;
use tests::servers::Servers;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::cpu_shares::{Meter, Party};
use crate::engine::Engine;
use crate::load_agent::{Acknowledged, LoadAgent, Station};
use crate::load_client::LoadClient;
use crate::{process_usage, report, tls_floor};

const GROUP: &str = "pushed";
/// Changes before the ones that count.
pub(crate) const WARM_UP: usize = 20;
/// Between two changes: they are measured one by one.
pub(crate) const SPACING: Duration = Duration::from_millis(5);
/// What a WebSocket adds to a message of some hundred bytes.
const WEBSOCKET_HEADER: usize = 4;

/// What the series of one measurement have in common.
pub(crate) struct Series {
    /// How many further agents are connected and read nothing: they must not hold up the others.
    pub(crate) paused: usize,
    /// How many changes are measured.
    pub(crate) changes: usize,
}

/// Runs one series per number of agents on a configuration of `entities` services.
pub(crate) async fn measure(
    engine: &Engine,
    entities: usize,
    agents: &[usize],
    of: &Series,
) -> anyhow::Result<()> {
    report::heading(&format!(
        "Change to acknowledgement, {entities} entities ({})",
        engine.name()
    ))?;
    let mut servers = engine.servers().await;
    servers.api().create_group(GROUP).await;
    servers
        .api()
        .group(GROUP)
        .apply(&services(entities), "")
        .await
        .expect_status(200);
    for count in agents {
        let bytes = series(&servers, engine, *count, of).await?;
        tls_floor::measure(*count, bytes + WEBSOCKET_HEADER, of.changes).await?;
    }
    servers.stop().await;
    Ok(())
}

/// A decK file of so many services, each about 1 KB as it is pushed.
fn services(count: usize) -> String {
    let service = |number: usize| {
        json!({
            "id": service_id(number), "name": format!("service-{number}"), "host": format!("h{number}.example.com"),
            "path": "/v1", "tags": ["load", "benchmark"],
        })
    };
    json!({ "_format_version": "3.0", "services": (0..count).map(service).collect::<Vec<_>>() }).to_string()
}

fn service_id(number: usize) -> Uuid {
    Uuid::from_u128(0x4000_8000_0000_0000_0000 + number as u128)
}

/// Prints one series; answers how many bytes of a change travel to each agent.
async fn series(servers: &Servers, engine: &Engine, count: usize, of: &Series) -> anyhow::Result<usize> {
    let before = resident(servers);
    let station = Station::prepare(servers, GROUP).await?;
    let (acknowledge, mut acknowledged) = mpsc::unbounded_channel();
    let mut running = JoinSet::new();
    let base = LoadAgent::base(&station).await?;
    for index in 0..count {
        let agent = LoadAgent::connect(&station, index, base.clone()).await?;
        running.spawn(agent.run(acknowledge.clone()));
    }
    let mut paused = Vec::new();
    for index in 0..of.paused {
        paused.push(LoadAgent::connect(&station, index, base.clone()).await?);
    }
    let held = resident(servers).saturating_sub(before) / 1000 / (count + paused.len()) as u64;
    let host = servers.server(0).url();
    let mut client = LoadClient::connect(host.trim_start_matches("http://"), servers.admin_token()).await?;
    Pushed::default()
        .push(0..WARM_UP, &mut client, &mut acknowledged, count)
        .await?;
    let meter = Meter::start(Party::all(servers, engine));
    let mut pushed = Pushed::default();
    pushed
        .push(
            WARM_UP..WARM_UP + of.changes,
            &mut client,
            &mut acknowledged,
            count,
        )
        .await?;
    let bytes = pushed.bytes as f64 / (of.changes * count) as f64;
    let idle = match paused.len() {
        0 => String::new(),
        paused => format!(" and {paused} paused"),
    };
    report::line(&format!(
        "{count:>4} agents{idle}: to the last {}, to each {}; {bytes:.0} bytes per change per agent ({:.2} × the entity's {}); {held} kB per connected agent",
        report::quantiles(&pushed.last),
        report::quantiles(&pushed.each),
        bytes / pushed.size as f64,
        pushed.size,
    ))?;
    meter.finish("change", of.changes as u64)?;
    running.shutdown().await;
    Ok(bytes.round() as usize)
}

/// Resident memory of all servers in bytes.
fn resident(servers: &Servers) -> u64 {
    servers
        .iter()
        .map(|server| process_usage::resident(server.pid()))
        .sum()
}

/// What was seen of some changes.
struct Pushed {
    /// From a change to the last agent's acknowledgement.
    last: Histogram<u64>,
    /// From a change to each agent's.
    each: Histogram<u64>,
    /// What all agents have received.
    bytes: usize,
    /// How large the last changed entity is in an instance's configuration.
    size: usize,
}

impl Default for Pushed {
    fn default() -> Self {
        Self {
            last: report::histogram(),
            each: report::histogram(),
            bytes: 0,
            size: 0,
        }
    }
}

impl Pushed {
    /// Makes the changes with these numbers, each after the last of `count` agents has acknowledged the one before.
    async fn push(
        &mut self,
        numbers: std::ops::Range<usize>,
        client: &mut LoadClient,
        acknowledged: &mut UnboundedReceiver<Acknowledged>,
        count: usize,
    ) -> anyhow::Result<()> {
        for number in numbers {
            let begun = Instant::now();
            self.size = put(client, number).await?;
            let mut slowest = Duration::ZERO;
            for _ in 0..count {
                let Acknowledged { at, received } =
                    acknowledged.recv().await.context("every agent is gone")?;
                report::note(&mut self.each, at - begun);
                slowest = slowest.max(at - begun);
                self.bytes += received;
            }
            report::note(&mut self.last, slowest);
            tokio::time::sleep(SPACING).await;
        }
        Ok(())
    }
}

/// Changes one service and answers how large it is in an instance's configuration.
async fn put(client: &mut LoadClient, number: usize) -> anyhow::Result<usize> {
    let id = service_id(number % 100);
    let path = format!("/v2/runtime-groups/{GROUP}/core-entities/services/{id}");
    let body = json!({
        "name": format!("service-{}", number % 100), "host": format!("changed-{number}-{}.example.com", Uuid::from_bytes(commands::entropy::seed()[..16].try_into()?)),
        "path": "/v1", "tags": ["load", "benchmark"],
    });
    let status = client.send("PUT", &path, &body.to_string()).await?;
    anyhow::ensure!(status == 200, "PUT {path} answered {status}");
    Ok(client.body().len())
}
