//! A large configuration: one file as one atomic change, what it takes in memory, how fast its lists are read, and what a single PUT
//! costs in it beside one in an empty group.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tests::servers::Servers;

use crate::cpu_shares::{Meter, Party};
use crate::engine::Engine;
use crate::load_client::LoadClient;
use crate::process_usage;
use crate::report;

const GROUPS: [&str; 2] = ["empty", "large"];
const LISTS: usize = 200;
const PUTS: usize = 1_000;
/// How often the lists are asked for until the views have the change: each waits up to 5 s by itself.
const ATTEMPTS: usize = 60;

/// After how long what isn't needed any more should have gone back to the system.
const QUIET: Duration = Duration::from_secs(15);

/// What the file has.
pub(crate) struct Size {
    /// Services, each with a route that has a plugin.
    pub(crate) services: usize,
    /// Consumers, each with a key.
    pub(crate) consumers: usize,
}

impl Size {
    /// About so many entities, in the proportions of the usual file: five consumers for each service.
    pub(crate) const fn of(entities: usize) -> Self {
        let services = entities / 13;
        Self {
            services,
            consumers: (entities - 3 * services) / 2,
        }
    }

    const fn entities(&self) -> usize {
        3 * self.services + 2 * self.consumers
    }

    fn file(&self) -> String {
        let mut file = "_format_version: \"3.0\"\nservices:\n".to_owned();
        // Writing to a String can't fail.
        for n in 0..self.services {
            let _ = write!(
                file,
                "- name: service-{n}\n  host: service-{n}.internal\n  path: /v1\n  tags: [team-{team}]\n  routes:\n  - name: route-{n}\n    \
                 paths: [/api/{n}]\n    methods: [GET, POST]\n    plugins:\n    - name: rate-limiting\n      config: {{minute: {minute}, policy: local}}\n",
                team = n % 50,
                minute = n % 1000 + 1,
            );
        }
        file.push_str("consumers:\n");
        for n in 0..self.consumers {
            let _ = write!(
                file,
                "- username: consumer-{n}\n  custom_id: c-{n}\n  keyauth_credentials:\n  - key: key-{n}-abcdefghijklmnop\n"
            );
        }
        file
    }
}

/// Applies the file and measures what it leaves behind.
pub(crate) async fn measure(engine: &Engine, size: &Size) -> anyhow::Result<()> {
    let entities = size.entities();
    report::heading(&format!(
        "One file with {entities} entities ({}): {} services, routes and plugins, {} consumers with a key",
        engine.name(),
        size.services,
        size.consumers
    ))?;
    let mut servers = engine.servers().await;
    for group in GROUPS {
        servers.api().create_group(group).await;
    }
    let before = memory(&servers);
    let mut client = connect(&servers).await?;
    apply(&servers, engine, &mut client, size).await?;
    let begun = Instant::now();
    lists_are_served(&mut client).await?;
    report::line(&format!(
        "until the views have it: {:.1} s more",
        begun.elapsed().as_secs_f64()
    ))?;
    let bytes = memory(&servers).saturating_sub(before);
    report::line(&format!(
        "resident memory: {} MiB more than before, {} bytes per entity",
        bytes >> 20,
        bytes / entities as u64
    ))?;
    for (kind, page) in [("services", 100), ("services", 1000), ("consumers", 1000)] {
        list(&mut client, kind, page).await?;
    }
    puts(&mut client).await?;
    servers.stop().await;
    Ok(())
}

/// What one file takes in memory: while it is applied, when its views are made, and when all is quiet again.
pub(crate) async fn measure_memory(engine: &Engine, size: &Size) -> anyhow::Result<()> {
    let entities = size.entities();
    let mut servers = engine.servers().await;
    servers.api().create_group("large").await;
    let idle = memory(&servers);
    let mut client = connect(&servers).await?;
    let file = size.file();
    let begun = Instant::now();
    let path = "/v2/runtime-groups/large/apply";
    let status = client.send_as("POST", path, "application/yaml", &file).await?;
    anyhow::ensure!(status == 200, "apply answered {status}");
    let took = begun.elapsed();
    lists_are_served(&mut client).await?;
    let peak: u64 = servers
        .iter()
        .map(|server| process_usage::peak_resident(server.pid()))
        .sum();
    let after = memory(&servers);
    tokio::time::sleep(QUIET).await;
    let above = |bytes: u64| bytes.saturating_sub(idle) >> 20;
    report::line(&format!(
        "{entities} entities: idle {} MiB; peak {} MiB above, {} bytes per entity; {} MiB above when the views have it, {} MiB \
         {} s later; applied in {:.1} s",
        idle >> 20,
        above(peak),
        peak.saturating_sub(idle) / entities as u64,
        above(after),
        above(memory(&servers)),
        QUIET.as_secs(),
        took.as_secs_f64()
    ))?;
    servers.stop().await;
    Ok(())
}

async fn connect(servers: &Servers) -> anyhow::Result<LoadClient> {
    let server = servers.iter().next().expect("an engine has a server");
    LoadClient::connect(server.url().trim_start_matches("http://"), servers.admin_token()).await
}

fn memory(servers: &Servers) -> u64 {
    servers
        .iter()
        .map(|server| process_usage::resident(server.pid()))
        .sum()
}

async fn apply(
    servers: &Servers,
    engine: &Engine,
    client: &mut LoadClient,
    size: &Size,
) -> anyhow::Result<()> {
    let file = size.file();
    let meter = Meter::start(Party::all(servers, engine));
    let begun = Instant::now();
    let status = client
        .send_as(
            "POST",
            "/v2/runtime-groups/large/apply",
            "application/yaml",
            &file,
        )
        .await?;
    let took = begun.elapsed();
    anyhow::ensure!(status == 200, "apply answered {status}");
    report::line(&format!(
        "apply of {:.1} MB of YAML as one change: {:.2} s, {:.0} entities/s",
        file.len() as f64 / 1e6,
        took.as_secs_f64(),
        size.entities() as f64 / took.as_secs_f64()
    ))?;
    meter.finish("entity", size.entities() as u64)
}

async fn lists_are_served(client: &mut LoadClient) -> anyhow::Result<()> {
    for _ in 0..ATTEMPTS {
        if client.send("GET", "/groups/large/admin/services", "").await? == 200 {
            return Ok(());
        }
    }
    anyhow::bail!("the views didn't catch up")
}

async fn list(client: &mut LoadClient, kind: &str, page: usize) -> anyhow::Result<()> {
    let mut histogram = report::histogram();
    let path = format!("/groups/large/admin/{kind}?size={page}");
    for _ in 0..LISTS {
        timed(client, "GET", &path, "", &mut histogram).await?;
    }
    report::line(&format!(
        "page of {page} {kind}: {}",
        report::quantiles(&histogram)
    ))?;
    Ok(())
}

/// In turns, so that both see the same machine.
async fn puts(client: &mut LoadClient) -> anyhow::Result<()> {
    let mut histograms = GROUPS.map(|_| report::histogram());
    for number in 0..PUTS {
        for (group, histogram) in GROUPS.iter().zip(&mut histograms) {
            let path = format!("/groups/{group}/admin/services/put-{}", number % 50);
            let body = format!(r#"{{"host":"h{number}.internal"}}"#);
            timed(client, "PUT", &path, &body, histogram).await?;
        }
    }
    for (group, histogram) in GROUPS.iter().zip(&histograms) {
        report::line(&format!(
            "PUT of a service in the {group} group: {}",
            report::quantiles(histogram)
        ))?;
    }
    let [empty, large] = histograms.map(|histogram| histogram.value_at_quantile(0.5) as f64);
    report::line(&format!("ratio of the medians: {:.2}", large / empty))?;
    Ok(())
}

async fn timed(
    client: &mut LoadClient,
    method: &str,
    path: &str,
    body: &str,
    histogram: &mut Histogram<u64>,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let status = client.send(method, path, body).await?;
    anyhow::ensure!(status == 200, "{method} {path} answered {status}");
    report::note(histogram, begun.elapsed());
    Ok(())
}
