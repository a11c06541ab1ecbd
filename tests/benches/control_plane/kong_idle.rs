//! What connected Kong data planes (v1) cost while nothing happens: they ping, each twice a minute.

use std::time::Duration;

use anyhow::Context;

use crate::cpu_shares::{Meter, Party};
use crate::engine::Engine;
use crate::kong_station::{Size, Station, every_arrival, settle};
use crate::{process_usage, report};

/// Watches each number of nodes for so long.
pub(crate) async fn measure(
    engine: &Engine,
    size: Size,
    nodes: &[usize],
    time: Duration,
) -> anyhow::Result<()> {
    report::heading(&format!("Idle Kong nodes, {size} ({})", engine.name()))?;
    for &count in nodes {
        let mut station = Station::prepare(engine, size).await?;
        // The first node has the level's configuration made: what is counted is the others' connections.
        let mut first = station.fleet(1, None);
        let (arrivals, _) = every_arrival(&mut first, 1).await?;
        let frame = arrivals.first().context("a fleet has nodes")?.frame;
        let hash = settle(&mut first, 1, frame).await?;
        let before = process_usage::resident(station.pid());
        let mut fleet = station.fleet(count, Some(&hash));
        crate::kong_herd::every_settled(&mut fleet, count).await?;
        let connected = process_usage::resident(station.pid());
        let cpu = process_usage::cpu(station.pid());
        let meter = Meter::start(Party::all(&station.servers, engine));
        tokio::time::sleep(time).await;
        let used = process_usage::cpu(station.pid()).saturating_sub(cpu);
        let after = process_usage::resident(station.pid());
        let each = |bytes: u64| bytes.saturating_sub(before) / 1000 / count as u64;
        report::line(&format!(
            "{count:>4} nodes, {} s: {:.2} % of a core; {} kB per connection at once, {} kB at the end",
            time.as_secs(),
            100.0 * used.as_secs_f64() / time.as_secs_f64(),
            each(connected),
            each(after),
        ))?;
        meter.finish("second", time.as_secs())?;
        drop((first, fleet));
        station.servers.stop().await;
    }
    Ok(())
}
