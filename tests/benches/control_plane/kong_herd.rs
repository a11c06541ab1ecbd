//! Many Kong data planes (v1) connect at once to a control plane that was just started: with nothing, and again with what is current.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tests::data_plane::fleet::{Event, Fleet};
use tokio::task::JoinHandle;

use crate::cpu_shares::{Meter, Party};
use crate::engine::Engine;
use crate::kong_station::{Size, Station, change, every_arrival, settle};
use crate::load_client::LoadClient;
use crate::{process_usage, report, tls_floor};

/// Runs one herd per number of nodes on a configuration of this size.
pub(crate) async fn measure(engine: &Engine, size: Size, nodes: &[usize]) -> anyhow::Result<()> {
    report::heading(&format!("A herd of Kong nodes, {size} ({})", engine.name()))?;
    let mut station = Station::prepare(engine, size).await?;
    for &count in nodes {
        station.servers.server_mut(0).restart().await;
        let before = process_usage::resident(station.pid());
        let meter = Meter::start(Party::all(&station.servers, engine));
        let begun = Instant::now();
        let mut fleet = station.fleet(count, None);
        let (arrivals, lost) = every_arrival(&mut fleet, count).await?;
        let mut served = report::histogram();
        for arrival in &arrivals {
            report::note(&mut served, arrival.at - begun);
        }
        let last = arrivals
            .iter()
            .map(|arrival| arrival.at)
            .max()
            .context("a herd has nodes")?;
        let frame = arrivals[0];
        report::line(&format!(
            "{count:>4} nodes with nothing: all served after {:.2} s, each {}; {lost} attempts failed; frame of {} bytes; the server had {} MB, then {} MB, at its peak {} MB",
            (last - begun).as_secs_f64(),
            report::quantiles(&served),
            frame.bytes,
            before / 1_000_000,
            process_usage::resident(station.pid()) / 1_000_000,
            process_usage::peak_resident(station.pid()) / 1_000_000,
        ))?;
        meter.finish("node", count as u64)?;
        tls_floor::measure_herd(count, frame.bytes).await?;
        let hash = settle(&mut fleet, count, frame.frame).await?;
        drop(fleet);
        station.servers.server_mut(0).restart().await;
        current(&station, count, &hash).await?;
        while_commands_run(&mut station, count).await?;
    }
    station.servers.stop().await;
    Ok(())
}

/// The same nodes connect with what is current; nobody may be sent anything.
async fn current(station: &Station, count: usize, hash: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut fleet = station.fleet(count, Some(hash));
    let sent = every_settled(&mut fleet, count).await?;
    report::line(&format!(
        "     with what is current: all heard after {:.2} s, {sent} frames sent",
        begun.elapsed().as_secs_f64(),
    ))?;
    Ok(())
}

/// Waits until every node had its first ping answered; answers how many frames arrived meanwhile.
pub(crate) async fn every_settled(fleet: &mut Fleet, count: usize) -> anyhow::Result<usize> {
    let (mut settled, mut sent) = (vec![false; count], 0);
    while settled.iter().any(|settled| !settled) {
        let event = tokio::time::timeout(Duration::from_secs(300), fleet.event()).await;
        match event.context("not every node was heard within 5 minutes")? {
            Event::Settled(node) => settled[node] = true,
            Event::Arrived(_) => sent += 1,
            _ => {}
        }
    }
    Ok(sent)
}

/// How long commands take while a herd arrives at a server that was just started.
async fn while_commands_run(station: &mut Station, count: usize) -> anyhow::Result<()> {
    station.servers.server_mut(0).restart().await;
    let (host, token) = (station.host(), station.servers.admin_token().to_owned());
    let mut client = LoadClient::connect(&host, &token).await?;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    #[expect(clippy::disallowed_methods, reason = "the benchmark waits for it below")]
    let commanding: JoinHandle<anyhow::Result<_>> = tokio::spawn(async move {
        let mut answered = report::histogram();
        for number in 0.. {
            let (path, body, _) = change(number)?;
            let begun = Instant::now();
            let status = client.send("PUT", &path, &body).await?;
            ensure!(status == 200, "PUT {path} answered {status}");
            report::note(&mut answered, begun.elapsed());
            tokio::select! {
                _ = &mut stopped => break,
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
        Ok(answered)
    });
    let begun = Instant::now();
    let mut fleet = station.fleet(count, None);
    let (_, lost) = every_arrival(&mut fleet, count).await?;
    let elapsed = begun.elapsed();
    let _ = stop.send(());
    let answered = commanding.await??;
    report::line(&format!(
        "     while commands run: all served after {:.2} s, {lost} attempts failed; {} commands {}, the slowest {:.0} ms",
        elapsed.as_secs_f64(),
        answered.len(),
        report::quantiles(&answered),
        answered.max() as f64 / 1000.0,
    ))?;
    Ok(())
}
