//! A server with a group of Kong data planes: its configuration, and the certificate that all of the fleet's nodes show.

use anyhow::Context;
use serde_json::{Value, json};
use tests::data_plane::fleet::{Arrival, Event, Fleet, FrameId};
use tests::data_plane::{Identity, KongVersion, Pair, Settings};
use tests::servers::Servers;
use uuid::Uuid;

use crate::engine::Engine;

const GROUP: &str = "kong";
/// The newest release, whose level has nothing to leave out.
const VERSION: KongVersion = KongVersion::new(3, 9, 1);

/// How large a group's configuration is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Services, each with a route.
    pub(crate) services: usize,
    /// How many of the services have a plugin.
    pub(crate) plugins: usize,
}

impl std::fmt::Display for Size {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{0} services + {0} routes + {1} plugins",
            self.services, self.plugins
        )
    }
}

/// The servers with a filled group.
pub(crate) struct Station {
    pub(crate) servers: Servers,
    settings: Settings,
}

impl Station {
    /// Starts servers and fills the group.
    pub(crate) async fn prepare(engine: &Engine, size: Size) -> anyhow::Result<Self> {
        let servers = engine.servers().await;
        servers.api().create_group(GROUP).await;
        let group = servers.api().group(GROUP);
        group.apply(&configuration(size), "").await.expect_status(200);
        let pair = Pair::of("node.kong.test");
        let certificates = format!("/v2/runtime-groups/{GROUP}/dp-client-certificates");
        let body = json!({ "cert": pair.certificate });
        servers.api().post(&certificates, &body).await.expect_status(201);
        let authority = std::fs::read_to_string(servers.server(0).data_dir().join("ca.pem"))?;
        let identity = Identity::pki(&pair, &authority, "localhost");
        let address = servers.server(0).dataplane_address().parse()?;
        let mut settings = Settings::new(VERSION, address, identity);
        settings.max_payload = 256 << 20;
        Ok(Self { servers, settings })
    }

    /// Starts so many nodes; with `hash` they have that configuration already.
    pub(crate) fn fleet(&self, count: usize, hash: Option<&str>) -> Fleet {
        Fleet::start(count, &self.settings, hash)
    }

    /// The same nodes with another pause before they come back, in seconds.
    pub(crate) fn returning_after(&mut self, shortest: u64, longest: u64) {
        let seconds = std::time::Duration::from_secs;
        self.settings.reconnect = (seconds(shortest), seconds(longest));
    }

    /// The servers' process.
    pub(crate) fn pid(&self) -> u32 {
        self.servers.server(0).pid()
    }

    /// `host:port` of the API.
    pub(crate) fn host(&self) -> String {
        self.servers
            .server(0)
            .url()
            .trim_start_matches("http://")
            .to_owned()
    }

    /// The lines of a metric.
    pub(crate) async fn metric(&self, name: &str) -> Vec<String> {
        let text = self.servers.api().get("/metrics").await.text();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines.map(str::to_owned).collect()
    }
}

/// The path and the body of a change of one service, and the text by which it is recognised in a configuration.
pub(crate) fn change(number: usize) -> anyhow::Result<(String, String, String)> {
    let index = number % 100;
    let random = Uuid::from_bytes(commands::entropy::seed()[..16].try_into()?);
    let host = format!("changed-{random}.example.com");
    let path = format!(
        "/v2/runtime-groups/{GROUP}/core-entities/services/{}",
        service_id(index)
    );
    let body = json!({ "name": format!("service-{index}"), "host": host, "path": "/v1", "tags": ["load", "benchmark"] });
    Ok((path, body.to_string(), host))
}

/// Waits for the first arrival at each of `count` nodes; those that lose their connection are counted.
pub(crate) async fn every_arrival(fleet: &mut Fleet, count: usize) -> anyhow::Result<(Vec<Arrival>, usize)> {
    let mut seen = vec![false; count];
    let (mut arrivals, mut lost) = (Vec::with_capacity(count), 0);
    while arrivals.len() < count {
        let event = tokio::time::timeout(std::time::Duration::from_secs(300), fleet.event()).await;
        match event
            .with_context(|| format!("{} of {count} nodes were served within 5 minutes", arrivals.len()))?
        {
            Event::Arrived(arrival) if !seen[arrival.node] => {
                seen[arrival.node] = true;
                arrivals.push(arrival);
            }
            Event::Lost(..) => lost += 1,
            _ => {}
        }
    }
    Ok((arrivals, lost))
}

/// Waits until every node has said that it runs a frame, that is until nothing more is on its way.
pub(crate) async fn settle(fleet: &mut Fleet, count: usize, frame: FrameId) -> anyhow::Result<String> {
    let mut settled = vec![false; count];
    while settled.iter().any(|settled| !settled) {
        let event = tokio::time::timeout(std::time::Duration::from_secs(120), fleet.event()).await;
        match event.context("the nodes' pings aren't answered")? {
            Event::Settled(node) => settled[node] = true,
            Event::Arrived(arrival) => settled[arrival.node] = false,
            _ => {}
        }
    }
    Ok(fleet.hash_of(frame))
}

fn service_id(number: usize) -> Uuid {
    Uuid::from_u128(0x5000_8000_0000_0000_0000 + number as u128)
}

/// A decK file with ids that look random and varied hosts and paths, as the baselines' configurations have.
fn configuration(size: Size) -> String {
    let service = |number: usize| -> Value {
        let mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let plugins = if number < size.plugins {
            json!([{ "name": "rate-limiting", "config": { "minute": 10 + mixed % 1000, "policy": "local" } }])
        } else {
            json!([])
        };
        json!({
            "id": service_id(number), "name": format!("service-{number}"), "host": format!("h{:08x}.example.com", mixed >> 32),
            "path": "/v1", "tags": ["load", "benchmark"], "plugins": plugins,
            "routes": [{
                "name": format!("route-{number}"), "paths": [format!("/p{:06x}/r{number}", mixed & 0xff_ffff)],
                "hosts": [format!("r{number}.{:04x}.example.com", mixed >> 48)], "methods": ["GET", "POST"],
            }],
        })
    };
    let services: Vec<Value> = (0..size.services).map(service).collect();
    json!({ "_format_version": "3.0", "services": services }).to_string()
}
