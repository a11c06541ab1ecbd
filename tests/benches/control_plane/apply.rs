//! A large configuration: one file as one atomic change, how fast its lists are read, and what a single PUT costs in it beside one in
//! an empty group.

use std::fmt::Write as _;
use std::time::Instant;

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

    /// How many entities that makes.
    pub(crate) const fn entities(&self) -> usize {
        3 * self.services + 2 * self.consumers
    }

    /// The file.
    pub(crate) fn file(&self, content: Content) -> String {
        let Content { name, edition } = content;
        let mut file = "_format_version: \"3.0\"\nservices:\n".to_owned();
        // Writing to a String can't fail.
        for n in 0..self.services {
            let _ = write!(
                file,
                "- name: service-{name}{n}\n  host: service-{n}.internal\n  path: /v{path}\n  tags: [team-{team}]\n  routes:\n  - name: route-{name}{n}\n    \
                 paths: [/api/{name}{n}]\n    methods: [GET, POST]\n    plugins:\n    - name: rate-limiting\n      config: {{minute: {minute}, policy: local}}\n",
                path = 1 + edition_of(n, edition),
                team = n % 50,
                minute = n % 1000 + 1,
            );
        }
        file.push_str("consumers:\n");
        for n in 0..self.consumers {
            let _ = write!(
                file,
                "- username: consumer-{name}{n}\n  custom_id: c-{name}{n}-{edition}\n  keyauth_credentials:\n  - key: key-{name}{n}-abcdefghijklmnop\n",
                edition = edition_of(n, edition),
            );
        }
        file
    }
}

/// Which of the configurations of one size it is.
#[derive(Clone, Copy)]
pub(crate) struct Content {
    /// Stands in every name.
    pub(crate) name: &'static str,
    /// Differs in one entity of a hundred.
    pub(crate) edition: usize,
}

/// Every fiftieth service and consumer has the edition: together they are half of all entities.
const fn edition_of(number: usize, edition: usize) -> usize {
    match number % 50 {
        0 => edition,
        _ => 0,
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
    let file = size.file(Content { name: "", edition: 0 });
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
