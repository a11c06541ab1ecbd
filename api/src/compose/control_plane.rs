//! `serve`: starts everything in order, and runs it until its end.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use commands::bootstrap::Installation;
use commands::bus::{self, CommandBus};
use commands::log::verify;
use commands::log::witness::Witness;
use commands::sandbox::{ProcessSandbox, Program};
use commands::{entropy, tasks::Tasks};
use dataplane_sync::projected::Projected;
use dataplane_sync::{DataplaneSync, ProcessId, Protection, SharedPair};
use domain::health::Health;
use domain::{Clock, Secret};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use projections::Projections;
use tracing::{info, warn};

use super::data_directory::DataDirectory;
use super::file_descriptors;
use super::first_start;
use super::http_listener::HttpListener;
use super::lost_files;
use super::operations_listener::OperationsListener;
use super::read_side;
use super::storage::Storage;
use super::tls;
use super::watched_log::WatchedLog;
use crate::certificate_expiry;
use crate::clock::machine::TimeSource;
use crate::clock::steady::SteadyClock;
use crate::clock::{believe, record};
use crate::config::{DatabaseEngine, DataplaneSettings, Settings, TlsFiles};
use crate::health::Conditions;
use crate::http;
use crate::lifecycle::Lifecycle;

/// How often measurements are tidied up.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Runs the control plane until its end. `announce` hears the admin token if this is the first start; `time` is the machine's.
pub async fn serve(
    settings: Settings,
    announce: impl FnOnce(&Secret),
    time: Arc<dyn TimeSource>,
) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::start()?;
    let directory = Arc::new(DataDirectory::create_and_lock(&settings.storage.data_dir)?);
    // Bound before log and keys are made: an address that is taken leaves no installation behind.
    let tls = settings.tls.as_ref().map(tls::acceptor).transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let descriptors = file_descriptors::raise_limit();
    let limits = file_descriptors::within(settings.connections, descriptors, "API");
    let listener = HttpListener::bind(settings.listen, tls, limits)
        .with_context(|| format!("the API can't listen on {}", settings.listen))?;
    let operations = OperationsListener::bind(settings.ops_listen).with_context(|| {
        let address = settings.ops_listen;
        format!("health and metrics can't be served on {address}: give another address with --ops-listen")
    })?;

    let metrics = measure(lifecycle.tasks())?;
    let health = Arc::new(Conditions::default());
    let heard: Arc<dyn Health> = health.clone();
    let mut storage = Storage::open(&settings.storage, &heard, lifecycle.tasks()).await?;
    storage.log = Arc::new(WatchedLog::new(storage.log, health.clone()));
    let end = lifecycle.tasks().token().clone();
    let lost_files = lost_files::watch(storage.files.clone(), health.clone());
    lifecycle.tasks().spawn("lost files", async move {
        end.run_until_cancelled(lost_files).await;
    });
    let clock = believed_clock(
        &settings,
        &directory,
        &storage,
        time,
        Arc::clone(&health),
        lifecycle.tasks(),
    )
    .await?;
    if let Some(doubt) = &storage.durability_doubt {
        warn!("durability not verified: {doubt}");
    }
    let data_dir = &settings.storage.data_dir;
    let witness = Witness::compare(data_dir, Arc::clone(&storage.log), Arc::clone(&storage.signing)).await?;
    let projections = read_side::open(
        &settings.storage,
        &storage,
        Arc::clone(&clock),
        lifecycle.tasks(),
        health.clone(),
    )
    .await?;
    let bus = command_bus(&settings, &storage, &projections, &clock, lifecycle.tasks());
    let (installation, admin) = first_start::run(&directory, &bus, &*clock).await?;
    if let Some(admin) = &admin {
        announce(admin);
    }
    let log_id = installation.system.state.log_id;
    let log_id = log_id.context("the installation has no identity")?;
    let heads = witness.follow(log_id, Arc::clone(&clock), lifecycle.tasks());
    let dataplane = dataplane(
        &settings,
        &installation,
        &projections,
        &bus,
        &clock,
        &lifecycle,
        descriptors,
    )?;
    let end = lifecycle.tasks().token().clone();
    lifecycle.tasks().spawn(
        "reactors",
        read_side::react_while_leading(bus.clone(), projections.clone(), end),
    );

    let verification = verify::Rounds {
        directory: data_dir.clone(),
        log: Arc::clone(&storage.log),
        keyring: Arc::clone(&storage.keyring),
        key: storage.signing.public(),
        health: health.clone(),
    };
    let end = lifecycle.tasks().token().clone();
    lifecycle.tasks().spawn("log verification", async move {
        end.run_until_cancelled(verification.run()).await;
    });

    lifecycle.tasks().spawn(
        "views in doubt",
        read_side::end_when_distrusted(projections.clone(), lifecycle.tasks().clone()),
    );

    let end = lifecycle.tasks().token().clone();
    lifecycle.tasks().spawn(
        "certificate expiry",
        certificate_expiry::watch(projections.clone(), Arc::clone(&clock), end),
    );

    let address = listener.local_address()?;
    let endpoint = control_plane_endpoint(&settings.dataplane, &dataplane);
    let operations_address = operations.local_address()?;
    let routers = http::routers(
        http::Parts {
            commands: bus,
            projections: projections.clone(),
            nodes: Arc::clone(dataplane.nodes()),
            log: Arc::clone(&storage.log),
            keyring: Arc::clone(&storage.keyring),
            heads,
            signing: Arc::clone(&storage.signing),
            clock,
            entropy: entropy::seed,
            health,
            metrics,
            settings: http::Settings {
                telemetry_endpoint: endpoint.clone(),
                control_plane_endpoint: endpoint,
                durability_unverified: storage.durability_doubt.clone(),
                node_retention: settings.dataplane.node_retention,
                group_retention: settings.group_retention,
                request_rates: settings.request_rates,
                request_memory: settings.request_memory,
                forwarding: settings.forwarding,
            },
            draining: lifecycle.draining().clone(),
            shutdown: lifecycle.doors().token().clone(),
        },
        lifecycle.tasks(),
    );
    operations.serve(routers.operations, lifecycle.tasks())?;
    listener.serve(routers.api, lifecycle.doors(), lifecycle.draining().clone())?;
    info!("API: {scheme}://{address}");
    info!("health and metrics: http://{operations_address}");
    for address in dataplane.local_addresses() {
        info!("runtime instances: {address}");
    }
    let ending = lifecycle.run(settings.drain).await;
    if let Err(error) = projections.close().await {
        warn!(%error, "the views' file can't be left in order; the next start does it");
    }
    if let Err(error) = storage.close().await {
        warn!(%error, "keys.db's write-ahead log stays beside it; keep them together, nothing is lost");
    }
    Ok(ending)
}

/// The clock that everything goes by, if the machine's can be believed or is to be accepted.
async fn believed_clock(
    settings: &Settings,
    directory: &Arc<DataDirectory>,
    storage: &Storage,
    time: Arc<dyn TimeSource>,
    health: Arc<Conditions>,
    tasks: &Tasks,
) -> anyhow::Result<Arc<dyn Clock>> {
    match settings.accept_clock {
        None => believe::believe(&settings.storage.data_dir, &*storage.log, &*time).await?,
        Some(day) => believe::accept(day, &*time)?,
    }
    let clock = Arc::new(SteadyClock::start(Arc::clone(&time), health));
    let keep = record::keep(
        Arc::clone(directory),
        Arc::clone(&clock),
        time,
        tasks.token().clone(),
    );
    tasks.spawn("clock record", keep);
    Ok(clock)
}

fn measure(tasks: &Tasks) -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    let (tidied, stop) = (handle.clone(), tasks.token().clone());
    tasks.spawn("metrics upkeep", async move {
        let mut rounds = tokio::time::interval(METRICS_UPKEEP);
        while stop.run_until_cancelled(rounds.tick()).await.is_some() {
            tidied.run_upkeep();
        }
    });
    Ok(handle)
}

fn command_bus(
    settings: &Settings,
    storage: &Storage,
    projections: &Projections,
    clock: &Arc<dyn Clock>,
    tasks: &Tasks,
) -> CommandBus {
    CommandBus::new(bus::Options {
        log: Arc::clone(&storage.log),
        keyring: Arc::clone(&storage.keyring),
        states: Some(projections.states()),
        follower: Some(Arc::new(projections.clone())),
        clock: Arc::clone(clock),
        spawner: Arc::new(tasks.clone()),
        sandbox: Arc::new(ProcessSandbox::new(Program::this())),
        deadline: bus::DEADLINE,
        group_retention: settings.group_retention,
    })
}

fn dataplane(
    settings: &Settings,
    installation: &Installation,
    projections: &Projections,
    bus: &CommandBus,
    clock: &Arc<dyn Clock>,
    lifecycle: &Lifecycle,
    descriptors: Option<u64>,
) -> anyhow::Result<DataplaneSync> {
    let system = &installation.system.state;
    let authority = system
        .authority
        .clone()
        .context("the installation has no certificate authority")?;
    let protection = if settings.dataplane.plaintext {
        Protection::Plaintext
    } else {
        Protection::Tls {
            authority,
            names: settings.dataplane.names(),
            shared_pairs: shared_pairs(&settings.dataplane)?,
        }
    };
    let projected = Arc::new(Projected::new(projections.clone()));
    Ok(DataplaneSync::start(dataplane_sync::Options {
        listen: settings.dataplane.listen.clone(),
        connections: file_descriptors::within(settings.dataplane.connections, descriptors, "instances"),
        protection,
        configurations: projected.clone(),
        tokens: projected.clone(),
        certificates: projected.clone(),
        observed: projected,
        commands: Arc::new(bus.clone()),
        clock: Arc::clone(clock),
        spawner: Arc::new(lifecycle.doors().clone()),
        log_id: system.log_id.context("the installation has no identity")?,
        push_rest: settings.dataplane.push_interval,
        node_retention: settings.dataplane.node_retention,
        new_nodes_per_hour: settings.dataplane.new_nodes_per_hour,
        process: process(&settings.storage.database),
    })?)
}

fn shared_pairs(settings: &DataplaneSettings) -> anyhow::Result<Vec<SharedPair>> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))
    };
    let pair = |files: &TlsFiles| {
        Ok(SharedPair {
            certificate: read(&files.certificate)?,
            key: Secret::new(read(&files.key)?),
        })
    };
    settings.shared_pairs.iter().map(pair).collect()
}

/// This process among those that share the record of nodes; none where nobody shares it.
fn process(database: &DatabaseEngine) -> Option<ProcessId> {
    match database {
        DatabaseEngine::Sqlite => None,
        DatabaseEngine::Postgres(_) => {
            let mut bytes = [0; 16];
            entropy::fill(&mut bytes);
            Some(ProcessId(uuid::Builder::from_random_bytes(bytes).into_uuid()))
        }
    }
}

/// Where instances are told to connect.
fn control_plane_endpoint(settings: &DataplaneSettings, dataplane: &DataplaneSync) -> String {
    let scheme = if settings.plaintext { "ws" } else { "wss" };
    match (settings.public_names.first(), dataplane.local_addresses().first()) {
        (Some(name), Some(address)) => format!("{scheme}://{name}:{}", address.port()),
        (None, Some(address)) => format!("{scheme}://{address}"),
        (_, None) => String::new(),
    }
}
