//! kill -9 and a new start with Kong data planes (v1) connected: they come back 5 to 10 s later, and nobody is sent anything.

use std::time::{Duration, Instant};

use anyhow::Context;
use tests::data_plane::fleet::Event;

use crate::cpu_shares::{Meter, Party};
use crate::engine::Engine;
use crate::kong_station::{Size, Station, every_arrival, settle};
use crate::{process_usage, report};

/// Runs one restart per number of nodes on a configuration of this size.
pub(crate) async fn measure(engine: &Engine, size: Size, nodes: &[usize]) -> anyhow::Result<()> {
    report::heading(&format!("A restart under Kong nodes, {size} ({})", engine.name()))?;
    let mut station = Station::prepare(engine, size).await?;
    station.returning_after(5, 10);
    for &count in nodes {
        let mut fleet = station.fleet(count, None);
        let (arrivals, _) = every_arrival(&mut fleet, count).await?;
        let frame = arrivals.first().context("a fleet has nodes")?.frame;
        settle(&mut fleet, count, frame).await?;
        while fleet.past_event().is_some() {}
        let killed = Instant::now();
        station.servers.server_mut(0).restart().await;
        let ready = killed.elapsed();
        let meter = Meter::start(Party::all(&station.servers, engine));
        let (mut back, mut settled) = (vec![false; count], vec![false; count]);
        let (mut returned, mut frames, mut failed) = (report::histogram(), 0, 0);
        while settled.iter().any(|settled| !settled) {
            let event = tokio::time::timeout(Duration::from_secs(300), fleet.event()).await;
            match event.context("not every node came back within 5 minutes")? {
                Event::Connected(node) => {
                    back[node] = true;
                    report::note(&mut returned, killed.elapsed());
                }
                Event::Settled(node) => settled[node] = back[node],
                Event::Arrived(_) => frames += 1,
                Event::Lost(node, _) => {
                    back[node] = false;
                    failed += 1;
                }
            }
        }
        report::line(&format!(
            "{count:>4} nodes: ready after {:.2} s, all back and heard after {:.2} s (each {}); {frames} frames sent, {} attempts failed; the server has {} MB",
            ready.as_secs_f64(),
            killed.elapsed().as_secs_f64(),
            report::quantiles(&returned),
            failed - count,
            process_usage::resident(station.pid()) / 1_000_000,
        ))?;
        meter.finish("node", count as u64)?;
    }
    station.servers.stop().await;
    Ok(())
}
