//! The project's benchmark: `cargo bench -p tests --bench control_plane -- --help`.
//!
//! Every figure stands beside its floor, measured in the same run: an fsync probe, the engine's bare append, a bare
//! scan of the log, a bare exchange over TLS. The load comes from this process; servers and engines are processes of their own. All
//! share the machine, so beside the figures stands whose processor time it was.

mod apply;
mod apply_memory;
mod commands;
mod cpu_shares;
mod engine;
mod fold;
mod kong_herd;
mod kong_idle;
mod kong_push;
mod kong_restart;
mod kong_station;
mod load_agent;
mod load_client;
mod past;
mod probe;
mod process_usage;
mod push;
mod report;
mod tls_client;
mod tls_floor;

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tests::long_history::Shape;
use tests::postgres_server::PostgresServer;

use crate::engine::Engine;
use crate::kong_station::Size;

/// Measures a control plane of this program on this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the log is kept.
    #[arg(long, value_enum, default_value_t = EngineName::Sqlite)]
    log: EngineName,
    /// Which measurements to make; all unless some are named.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Measurement>,
    /// How long each point of the command measurement takes, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How many events the folded log and the histories of the past have.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Keeps the views of the past in PostgreSQL.
    #[arg(long)]
    past_in_postgres: bool,
    /// How many changes each commit of the folded log carries.
    #[arg(long, default_value_t = 1)]
    changes_per_commit: u64,
    /// How many agents connect, one series after another.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 1000])]
    agents: Vec<usize>,
    /// How many entities the pushed configuration has, one series after another.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 10_000])]
    entities: Vec<usize>,
    /// How many further agents are connected to each series and read nothing.
    #[arg(long, default_value_t = 0)]
    paused: usize,
    /// How many changes are pushed per series.
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// How many services the applied file has, each with a route that has a plugin.
    #[arg(long, default_value_t = 10_000)]
    services: usize,
    /// How many consumers the applied file has, each with a key.
    #[arg(long, default_value_t = 50_000)]
    consumers: usize,
    /// How many entities the files have whose memory is measured, one size after another.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 5_000, 20_000, 50_000, 100_000])]
    memory_entities: Vec<usize>,
    /// How many Kong nodes connect, one series after another.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 500])]
    kong_nodes: Vec<usize>,
    /// How many services the Kong nodes' configuration has, one series after another: as many routes, and a tenth as many plugins.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000])]
    kong_services: Vec<usize>,
    /// How many changes are pushed to Kong nodes per series, more than a second apart.
    #[arg(long, default_value_t = 15)]
    kong_changes: usize,
    /// How long idle Kong nodes are watched, in seconds.
    #[arg(long, default_value_t = 60)]
    kong_idle_seconds: u64,
    /// Be the other end of the floor under a herd, for the benchmark that listens there.
    #[arg(long, hide = true, value_name = "ADDRESS")]
    greet_with_frames: Option<SocketAddr>,
    /// Be the other end of the floor under a push, for the benchmark that listens there.
    #[arg(long, hide = true, value_name = "ADDRESS")]
    write_frames_for: Option<SocketAddr>,
    /// Given by `cargo bench`; means nothing.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineName {
    Sqlite,
    /// One NATS server with `sync_interval: always`, started for the benchmark.
    Nats,
    /// Three servers of one installation on three such NATS servers, with the views in one PostgreSQL, all started for the benchmark.
    Cluster,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measurement {
    Commands,
    Push,
    Apply,
    ApplyMemory,
    Fold,
    /// The log is SQLite's, whatever `--log` says.
    Past,
    KongPush,
    KongHerd,
    KongIdle,
    KongRestart,
}

impl Arguments {
    /// How large the Kong nodes' configurations are.
    fn kong_sizes(&self) -> impl Iterator<Item = Size> {
        self.kong_services.iter().map(|&services| Size {
            services,
            plugins: services / 10,
        })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(control) = arguments.write_frames_for {
        return tls_floor::write_frames(control).await;
    }
    if let Some(control) = arguments.greet_with_frames {
        return tls_floor::greet_with_frames(control).await;
    }
    let wanted = |measurement| arguments.only.is_empty() || arguments.only.contains(&measurement);
    report::machine()?;
    probe::fsync()?;
    if wanted(Measurement::Commands) {
        commands::measure(&Engine::start(arguments.log, true).await?, arguments.seconds).await?;
        probe::fsync()?;
    }
    if wanted(Measurement::Push) {
        for &entities in &arguments.entities {
            let engine = Engine::start(arguments.log, true).await?;
            let series = push::Series {
                paused: arguments.paused,
                changes: arguments.changes,
            };
            push::measure(&engine, entities, &arguments.agents, &series).await?;
        }
        probe::fsync()?;
    }
    if wanted(Measurement::Apply) {
        let size = apply::Size {
            services: arguments.services,
            consumers: arguments.consumers,
        };
        apply::measure(&Engine::start(arguments.log, true).await?, &size).await?;
        probe::fsync()?;
    }
    if wanted(Measurement::ApplyMemory) {
        report::heading("Memory of one file as one change")?;
        for &entities in &arguments.memory_entities {
            let engine = Engine::start(arguments.log, true).await?;
            apply_memory::measure(&engine, &apply::Size::of(entities)).await?;
        }
    }
    if wanted(Measurement::Fold) {
        // Only reading is measured, so the log is filled without waiting for the disk where the engine lets us.
        let engine = Engine::start(arguments.log, false).await?;
        fold::measure(&engine, arguments.events, arguments.changes_per_commit).await?;
    }
    if wanted(Measurement::Past) {
        let postgres = arguments.past_in_postgres.then(PostgresServer::start_durable);
        for shape in [Shape::Updates, Shape::Churn] {
            past::measure(shape, arguments.events, postgres.as_ref()).await?;
        }
    }
    measure_kong(&arguments, wanted).await
}

/// Everything about Kong data planes.
async fn measure_kong(arguments: &Arguments, wanted: impl Fn(Measurement) -> bool) -> anyhow::Result<()> {
    let nodes = &arguments.kong_nodes;
    for size in arguments.kong_sizes() {
        if wanted(Measurement::KongPush) {
            let engine = Engine::start(arguments.log, true).await?;
            kong_push::measure(&engine, size, nodes, arguments.kong_changes).await?;
        }
        if wanted(Measurement::KongHerd) {
            let engine = Engine::start(arguments.log, true).await?;
            kong_herd::measure(&engine, size, nodes).await?;
        }
        if wanted(Measurement::KongRestart) {
            let engine = Engine::start(arguments.log, true).await?;
            kong_restart::measure(&engine, size, nodes).await?;
        }
        if wanted(Measurement::KongIdle) {
            let time = Duration::from_secs(arguments.kong_idle_seconds);
            let engine = Engine::start(arguments.log, true).await?;
            kong_idle::measure(&engine, size, nodes, time).await?;
        }
    }
    Ok(())
}
