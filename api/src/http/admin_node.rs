//! What a client of Kong's Admin API asks the node it talks to: which Kong it is, how it fares, what it serves. A group
//! answers as a Kong 3.9.1 with PostgreSQL would (`deck-go-kong.md` §3.2, §5.9).

use std::collections::BTreeSet;
use std::sync::LazyLock;

use axum::http::Method;
use domain::{GroupId, Kind, Version};
use projections::{EntityQuery, TagFilter};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::endpoint::{Endpoint, Permission};
use super::endpoints;
use super::exchange::Exchange;
use super::prefixes::ADMIN;
use super::reads::Reads;
use super::refusal::Refusal;

/// The Kong whose rules the schemas are: clients decide by it what they may ask.
pub(crate) const KONG_VERSION: &str = "3.9.1";

/// The endpoints about the node.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        reading(
            "",
            "Read which Kong this is and what it is configured to be",
            root,
        ),
        reading("/status", "Read how it fares", status),
        reading("/endpoints", "List the paths of this API", paths),
        reading(
            "/plugins/enabled",
            "List the plugins that may be used",
            enabled_plugins,
        ),
    ]
}

fn reading<Handling>(
    path: &str,
    summary: &str,
    handler: impl Fn(Exchange) -> Handling + Send + Sync + 'static,
) -> Endpoint
where
    Handling: Future<Output = Result<Answer, Refusal>> + Send + 'static,
{
    let path = format!("{}{path}", ADMIN.base);
    Endpoint::new(Method::GET, path, Permission::ReadGroup, summary, handler)
        .answers(200, json!({ "type": "object" }))
        .by_kongs_rules()
}

async fn root(exchange: Exchange) -> Result<Answer, Refusal> {
    let newest = exchange.newest_version().await?;
    let group = exchange.group()?;
    let in_use = plugins_in_use(exchange.reads(), group.id).await?;
    let available: Map<_, _> = plugins()
        .into_iter()
        .filter_map(|name| {
            let facts = Kind::named("plugins")?.schema().plugin(name)?;
            let facts = json!({ "version": facts.version, "priority": facts.priority });
            Some((name.to_owned(), facts))
        })
        .collect();
    let body = json!({
        "tagline": "Welcome to kong",
        "version": KONG_VERSION,
        "edition": "community",
        "hostname": group.name,
        "node_id": group.id,
        "lua_version": "LuaJIT 2.1.0-20231117",
        "timers": { "running": 0, "pending": 0 },
        "pids": { "master": std::process::id(), "workers": [] },
        "configuration": configuration(),
        "plugins": { "available_on_server": available, "enabled_in_cluster": in_use },
    });
    Ok(Answer::ok(&body).at_version(newest))
}

/// What clients decide by, with the types they expect; listeners as an instance has them that nobody configured.
fn configuration() -> Value {
    let listener = |port: u16, tls: bool| {
        let mut listener = json!({
            "listener": format!("0.0.0.0:{port}{}", if tls { " ssl" } else { "" }), "ip": "0.0.0.0", "port": port,
            "ssl": tls, "http2": tls, "bind": false, "deferred": false, "reuseport": true, "proxy_protocol": false,
        });
        listener["backlog=%d+"] = Value::from(false);
        listener
    };
    let loaded: Map<_, _> = plugins()
        .into_iter()
        .map(|name| (name.to_owned(), Value::from(true)))
        .collect();
    json!({
        "role": "control_plane",
        "database": "postgres",
        "router_flavor": "traditional_compatible",
        "wasm": false,
        "rbac": "off",
        "portal": false,
        "custom_plugins_enabled": false,
        "plugins": ["bundled"],
        "loaded_plugins": loaded,
        "proxy_listeners": [listener(8000, false), listener(8443, true)],
        "stream_listeners": [],
    })
}

/// The names of the plugins that stand in the configuration. Reads them all: nothing finds plugins by name.
async fn plugins_in_use(reads: &Reads, group: GroupId) -> Result<BTreeSet<String>, Refusal> {
    let mut names = BTreeSet::new();
    let Some(kind) = Kind::named("plugins") else {
        return Ok(names);
    };
    let mut after = None;
    loop {
        let wanted = EntityQuery {
            after,
            size: 1000,
            tags: TagFilter::None,
            parent: None,
            at: None::<Version>,
        };
        let page = reads.entities(group, kind, &wanted).await?;
        let named = page.entities.iter().map(|plugin| plugin.map());
        names.extend(named.filter_map(|plugin| plugin["name"].as_str().map(str::to_owned)));
        after = page.entities.last().map(|plugin| plugin.id);
        if !page.has_more {
            return Ok(names);
        }
    }
}

async fn status(exchange: Exchange) -> Result<Answer, Refusal> {
    let reachable = exchange.reads().health().await.is_ok();
    // Counters of the nginx around Kong, which isn't here.
    let server = json!({
        "connections_accepted": 0, "connections_active": 0, "connections_handled": 0, "connections_reading": 0,
        "connections_waiting": 0, "connections_writing": 0, "total_requests": 0,
    });
    Ok(Answer::ok(&json!({
        "database": { "reachable": reachable },
        "memory": { "lua_shared_dicts": {}, "workers_lua_vms": [] },
        "server": server,
    })))
}

async fn paths(_: Exchange) -> Result<Answer, Refusal> {
    static PATHS: LazyLock<Value> = LazyLock::new(|| {
        let all = endpoints::all();
        let below = all
            .iter()
            .filter_map(|endpoint| endpoint.path.strip_prefix(ADMIN.base));
        let paths: BTreeSet<_> = below.map(as_kong_writes_it).collect();
        json!({ "data": paths, "next": null })
    });
    Ok(Answer::ok(&*PATHS))
}

/// Each parameter has the name of the collection before it: `/services/{services}/routes/{routes}`.
fn as_kong_writes_it(path: &str) -> String {
    let mut before = "";
    let mut written = String::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        written.push('/');
        match segment.starts_with('{') {
            true => written.push_str(&format!("{{{before}}}")),
            false => written.push_str(segment),
        }
        before = segment;
    }
    match written.is_empty() {
        true => "/".to_owned(),
        false => written,
    }
}

async fn enabled_plugins(_: Exchange) -> Result<Answer, Refusal> {
    Ok(Answer::ok(&json!({ "enabled_plugins": plugins() })))
}

fn plugins() -> BTreeSet<&'static str> {
    let kind = Kind::named("plugins");
    kind.into_iter()
        .flat_map(|kind| kind.schema().subschema_names())
        .collect()
}
