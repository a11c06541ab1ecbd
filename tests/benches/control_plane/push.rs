//! From a change to its verified acknowledgement by the last of many agents, which all run in this process and share
//! one base configuration; what travels, what the server spends, what an idle agent costs it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;
use tests::server_process::ServerProcess;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::engine::Engine;
use crate::load_agent::{Acknowledged, LoadAgent, Station};
use crate::load_client::LoadClient;
use crate::{process_usage, report};

const GROUP: &str = "pushed";
/// Changes before the ones that count.
const WARM_UP: usize = 20;
/// Between two changes: they are measured one by one.
const SPACING: Duration = Duration::from_millis(5);

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
    let mut server = ServerProcess::start(engine.for_server()).await;
    server.api().create_group(GROUP).await;
    server
        .api()
        .group(GROUP)
        .apply(&services(entities), "")
        .await
        .expect_status(200);
    for count in agents {
        series(&server, *count, of).await?;
    }
    server.stop().await;
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

async fn series(server: &ServerProcess, count: usize, of: &Series) -> anyhow::Result<()> {
    let changes = of.changes;
    let before = process_usage::resident(server.pid());
    let station = Arc::new(Station::prepare(server, GROUP).await?);
    let (acknowledge, mut acknowledged) = mpsc::unbounded_channel();
    let mut running = JoinSet::new();
    let base = LoadAgent::base(&station).await?;
    for _ in 0..count {
        let agent = LoadAgent::connect(Arc::clone(&station), base.clone()).await?;
        running.spawn(agent.run(acknowledge.clone()));
    }
    let mut paused = Vec::new();
    for _ in 0..of.paused {
        paused.push(LoadAgent::connect(Arc::clone(&station), base.clone()).await?);
    }
    let resident = process_usage::resident(server.pid());
    let mut client =
        LoadClient::connect(server.url().trim_start_matches("http://"), &server.admin_token()).await?;
    let (mut last, mut each) = (report::histogram(), report::histogram());
    let (mut bytes, mut size) = (0, 0);
    let mut cpu = Duration::ZERO;
    for number in 0..WARM_UP + changes {
        if number == WARM_UP {
            (last, each, bytes) = (report::histogram(), report::histogram(), 0);
            cpu = process_usage::cpu(server.pid());
        }
        let begun = Instant::now();
        size = put(&mut client, number).await?;
        let mut slowest = Duration::ZERO;
        for _ in 0..count {
            let Acknowledged { at, received } = acknowledged.recv().await.context("every agent is gone")?;
            report::note(&mut each, at - begun);
            slowest = slowest.max(at - begun);
            bytes += received;
        }
        report::note(&mut last, slowest);
        tokio::time::sleep(SPACING).await;
    }
    let cpu = process_usage::cpu(server.pid()).saturating_sub(cpu).as_secs_f64() * 1e3 / changes as f64;
    let per_change = bytes as f64 / (changes * count) as f64;
    report::line(&format!(
        "{count:>4} agents{}: to the last {}, to each {}; {per_change:.0} bytes per change per agent ({:.2} × the entity's {size}); {cpu:.2} ms server CPU per change; {} kB per connected agent",
        if paused.is_empty() {
            String::new()
        } else {
            format!(" and {} paused", paused.len())
        },
        report::quantiles(&last),
        report::quantiles(&each),
        per_change / size as f64,
        resident.saturating_sub(before) / 1000 / (count + paused.len()) as u64
    ))?;
    running.shutdown().await;
    Ok(())
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
