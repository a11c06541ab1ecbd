//! Durable commands per second over HTTP, on one group and spread over 64, beside the engine's bare
//! appends. The connections are spread over the servers, so in a cluster all of them write to the same group, or each to groups of its own.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tests::servers::Servers;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::cpu_shares::{Meter, Party};
use crate::engine::Engine;
use crate::load_client::LoadClient;
use crate::report;

const CONNECTIONS: [usize; 3] = [1, 16, 64];
const GROUPS: usize = 64;
/// About what a commit with one small change has, in bytes.
const RECORD_SIZE: usize = 800;

/// Runs every point.
pub(crate) async fn measure(engine: &Engine, seconds: u64) -> anyhow::Result<()> {
    let duration = Duration::from_secs(seconds);
    report::heading(&format!(
        "Durable commands over HTTP ({}): PUT of a service",
        engine.name()
    ))?;
    let mut servers = engine.servers().await;
    let mut groups = Vec::new();
    for index in 0..GROUPS {
        let name = format!("group-{index}");
        servers.api().create_group(&name).await;
        groups.push(name);
    }
    for connections in CONNECTIONS {
        for (what, used) in [("one group", &groups[..1]), ("64 groups", &groups[..])] {
            point(&servers, engine, connections, used, what, duration).await?;
        }
    }
    servers.stop().await;
    for writers in CONNECTIONS {
        let meter = Meter::start(
            [engine.parties(), vec![Party::load()]]
                .into_iter()
                .flatten()
                .collect(),
        );
        let rate = engine.append_ceiling(writers, RECORD_SIZE, duration).await?;
        report::line(&format!(
            "bare append, {writers:>2} boundaries at once: {rate:>8.0} appends/s"
        ))?;
        meter.finish("append", (rate * duration.as_secs_f64()) as u64)?;
    }
    Ok(())
}

async fn point(
    servers: &Servers,
    engine: &Engine,
    connections: usize,
    groups: &[String],
    what: &str,
    duration: Duration,
) -> anyhow::Result<()> {
    let meter = Meter::start(Party::all(servers, engine));
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for (index, server) in (0..connections).zip(servers.iter().cycle()) {
        let client =
            LoadClient::connect(server.url().trim_start_matches("http://"), servers.admin_token()).await?;
        let group = groups[index % groups.len()].clone();
        running.spawn(put_until(client, group, begun + duration));
    }
    let mut all = report::histogram();
    for histogram in running.join_all().await {
        all.add(histogram?)?;
    }
    let rate = all.len() as f64 / begun.elapsed().as_secs_f64();
    let quantiles = report::quantiles(&all);
    report::line(&format!(
        "{connections:>2} connections, {what}: {rate:>8.0} commands/s, {quantiles}"
    ))?;
    meter.finish("command", all.len())
}

async fn put_until(
    mut client: LoadClient,
    group: String,
    deadline: Instant,
) -> anyhow::Result<Histogram<u64>> {
    let mut histogram = report::histogram();
    let id = Uuid::from_bytes(
        commands::entropy::seed()[..16]
            .try_into()
            .expect("16 of 32 bytes"),
    );
    let path = format!("/v2/runtime-groups/{group}/core-entities/services/{id}");
    for number in 0_u64.. {
        let begun = Instant::now();
        if begun >= deadline {
            break;
        }
        let body =
            format!(r#"{{"name":"s-{id}","host":"h{number}.example.com","path":"/p","tags":["load"]}}"#);
        let status = client.send("PUT", &path, &body).await?;
        anyhow::ensure!(matches!(status, 200 | 201), "PUT {path} answered {status}");
        report::note(&mut histogram, begun.elapsed());
    }
    Ok(histogram)
}
