//! From one changed service to the last byte of the frame at the last of many Kong data planes (v1), which all run in this process; and
//! how long the control plane needs to make the frame.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::data_plane::fleet::Event;

use crate::cpu_shares::{Meter, Party};
use crate::engine::Engine;
use crate::kong_station::{Size, Station, change, every_arrival, settle};
use crate::load_client::LoadClient;
use crate::{process_usage, report, tls_floor};

/// What a WebSocket adds to a large message.
const WEBSOCKET_HEADER: usize = 10;
/// Between two changes, so that each finds the control plane's push interval over.
const QUIET: Duration = Duration::from_millis(1_300);

/// Runs one series per number of nodes on a configuration of this size.
pub(crate) async fn measure(
    engine: &Engine,
    size: Size,
    nodes: &[usize],
    changes: usize,
) -> anyhow::Result<()> {
    report::heading(&format!("Change to Kong nodes, {size} ({})", engine.name()))?;
    let mut station = Station::prepare(engine, size).await?;
    for &count in nodes {
        let bytes = series(&station, engine, count, changes).await?;
        tls_floor::measure(count, bytes + WEBSOCKET_HEADER, changes).await?;
    }
    report::line("     the frame, from the change's publication, as the server measures it:")?;
    for line in station.metric("dataplane_frame_seconds").await {
        report::line(&format!("       {line}"))?;
    }
    station.servers.stop().await;
    Ok(())
}

/// Prints one series; answers how large a frame is.
async fn series(station: &Station, engine: &Engine, count: usize, changes: usize) -> anyhow::Result<usize> {
    let before = process_usage::resident(station.pid());
    let mut fleet = station.fleet(count, None);
    let (arrivals, _) = every_arrival(&mut fleet, count).await?;
    let first = arrivals.first().context("a fleet has nodes")?;
    settle(&mut fleet, count, first.frame).await?;
    let held = process_usage::resident(station.pid()).saturating_sub(before);
    let mut client = LoadClient::connect(&station.host(), station.servers.admin_token()).await?;
    let (mut answered, mut each, mut last) = (report::histogram(), report::histogram(), report::histogram());
    let meter = Meter::start(Party::all(&station.servers, engine));
    let mut bytes = 0;
    for number in 0..changes {
        tokio::time::sleep(QUIET).await;
        while let Some(event) = fleet.past_event() {
            ensure!(!matches!(event, Event::Lost(..)), "{event:?}");
        }
        let (path, body, mark) = change(number)?;
        let begun = Instant::now();
        let status = client.send("PUT", &path, &body).await?;
        ensure!(status == 200, "PUT {path} answered {status}");
        report::note(&mut answered, begun.elapsed());
        let (arrivals, lost) = every_arrival(&mut fleet, count).await?;
        ensure!(lost == 0, "{lost} connections were lost");
        for arrival in &arrivals {
            report::note(&mut each, arrival.at - begun);
        }
        let latest = arrivals
            .iter()
            .max_by_key(|arrival| arrival.at)
            .context("a fleet has nodes")?;
        report::note(&mut last, latest.at - begun);
        ensure!(
            arrivals.iter().all(|arrival| arrival.frame == latest.frame),
            "all get the same frame"
        );
        ensure!(
            fleet.frame_contains(latest.frame, &mark),
            "the frame has the change"
        );
        bytes = latest.bytes;
    }
    report::line(&format!(
        "{count:>4} nodes: PUT {}; to each {}, to the last {}; frame of {bytes} bytes; the server has {} MB, {} kB more per node",
        report::quantiles(&answered),
        report::quantiles(&each),
        report::quantiles(&last),
        process_usage::resident(station.pid()) / 1_000_000,
        held / 1000 / count as u64,
    ))?;
    meter.finish("change", changes as u64)?;
    Ok(bytes)
}
