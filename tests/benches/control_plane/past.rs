//! The past of a group with a long history: entities, pages and differences at any version, pages of the history, a rollback
//! across many changes; beside the same reads of what is now.

use std::time::Instant;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde_json::Value;
use tests::long_history::{self, LIVE_ENTITIES, LongHistory, Shape};
use tests::postgres_server::PostgresServer;
use tests::server_process::{Log, ServerProcess};

use crate::load_client::LoadClient;
use crate::process_usage;
use crate::report;

const GROUP: &str = "long";
/// How often each read is made.
const READS: u64 = 200;
/// How often each difference is asked for.
const DIFFERENCES: u64 = 20;
/// How many changes the rollback takes back.
const TAKEN_BACK: u64 = 100_000;
/// How often the views are asked until they have the history: each read waits up to 5 s by itself.
const ATTEMPTS: u32 = 720;

/// Writes a history of `events` events, has a server project it and reads its past over HTTP.
pub(crate) async fn measure(
    shape: Shape,
    events: u64,
    postgres: Option<&PostgresServer>,
) -> anyhow::Result<()> {
    report::heading(&format!(
        "The past of a group with {events} events: {} (views in {})",
        shape.name(),
        if postgres.is_some() {
            "PostgreSQL"
        } else {
            "SQLite"
        },
    ))?;
    let mut server = ServerProcess::prepare(Log::Sqlite);
    if let Some(postgres) = postgres {
        server = server.with_database(&postgres.fresh_database().await);
    }
    server.start_again();
    server.ready().await;
    let created = server.api().create_group(GROUP).await;
    let group = serde_json::from_value(created["id"].clone())?;
    server.stop().await;
    let history = LongHistory {
        group,
        shape,
        events,
        changes_per_commit: 1,
    };
    history.write_to(&server).await?;
    server.start_again();
    project(&mut server, events).await?;
    let mut reader = Reader {
        client: connect(&server).await?,
        events,
        drawn: 0,
    };
    reader.read_entities().await?;
    reader.read_pages().await?;
    reader.read_history().await?;
    reader.compare().await?;
    reader.roll_back().await?;
    let resident = process_usage::resident(server.pid());
    report::line(&format!("resident memory at the end: {} MiB", resident >> 20))?;
    server.stop().await;
    Ok(())
}

async fn connect(server: &ServerProcess) -> anyhow::Result<LoadClient> {
    LoadClient::connect(server.url().trim_start_matches("http://"), &server.admin_token()).await
}

/// Waits until the views hold the history.
async fn project(server: &mut ServerProcess, events: u64) -> anyhow::Result<()> {
    let begun = Instant::now();
    let path = format!("/v2/runtime-groups/{GROUP}/versions?page[size]=1");
    for _ in 0..ATTEMPTS {
        // The server may not listen yet.
        let Ok(mut client) = connect(server).await else {
            server.process().must_run();
            tokio::task::yield_now().await;
            continue;
        };
        if client.send("GET", &path, "").await? == 200 {
            let body: Value = serde_json::from_slice(client.body())?;
            anyhow::ensure!(
                body["data"][0]["version"] == events,
                "the history ends elsewhere: {body}"
            );
            let took = begun.elapsed().as_secs_f64();
            report::line(&format!(
                "started and projected in {took:.1} s, {:.0} events/s; views {} MB, log {} MB",
                events as f64 / took,
                size(server, "views.db") / 1_000_000,
                size(server, "log.db") / 1_000_000,
            ))?;
            return Ok(());
        }
    }
    anyhow::bail!("the views didn't catch up")
}

fn size(server: &ServerProcess, file: &str) -> u64 {
    std::fs::metadata(server.data_dir().join(file)).map_or(0, |metadata| metadata.len())
}

/// Reads with drawn parameters: the same in every run.
struct Reader {
    client: LoadClient,
    events: u64,
    drawn: u64,
}

impl Reader {
    /// A number below `bound`.
    fn draw(&mut self, bound: u64) -> u64 {
        self.drawn += 1;
        let id = long_history::id(self.drawn).0.as_u128();
        u64::try_from(id % u128::from(bound)).expect("less than the bound")
    }

    /// A version at which all services live.
    fn version(&mut self) -> u64 {
        LIVE_ENTITIES + self.draw(self.events - LIVE_ENTITIES) + 1
    }

    async fn timed(&mut self, path: &str, histogram: &mut Histogram<u64>) -> anyhow::Result<()> {
        let begun = Instant::now();
        let status = self.client.send("GET", path, "").await?;
        report::note(histogram, begun.elapsed());
        let body = String::from_utf8_lossy(self.client.body());
        anyhow::ensure!(status == 200, "GET {path} answered {status}: {body:.300}");
        Ok(())
    }

    /// Makes a read many times, its path drawn anew each time.
    async fn series(
        &mut self,
        what: &str,
        times: u64,
        path: impl Fn(&mut Self) -> String,
    ) -> anyhow::Result<()> {
        let mut histogram = report::histogram();
        let mut bytes = 0;
        for _ in 0..times {
            let path = path(self);
            self.timed(&path, &mut histogram).await?;
            bytes += self.client.body().len();
        }
        report::line(&format!(
            "{what}: {}, {} kB each",
            report::quantiles(&histogram),
            bytes as u64 / times / 1_000
        ))?;
        Ok(())
    }

    /// The body of a read.
    async fn read(&mut self, path: &str) -> anyhow::Result<Value> {
        self.timed(path, &mut report::histogram()).await?;
        Ok(serde_json::from_slice(self.client.body())?)
    }

    /// A service that lives at a version, with its name.
    async fn somebody(&mut self, version: u64) -> anyhow::Result<(String, String)> {
        let page = self.read(&entities(&format!("?size=1&at={version}"))).await?;
        let text = |field: &str| page["data"][0][field].as_str().map(str::to_owned);
        let id = text("id").context("nobody lives then")?;
        Ok((id, text("name").context("a service has a name")?))
    }

    async fn read_entities(&mut self) -> anyhow::Result<()> {
        let (now, then) = (self.events, self.version());
        let (id, name) = self.somebody(now).await?;
        self.series("entity now, by id (floor)", READS, |_| {
            entities(&format!("/{id}"))
        })
        .await?;
        let (old_id, old_name) = self.somebody(then).await?;
        self.series("entity at a version, by id", READS, |_| {
            entities(&format!("/{old_id}?at={then}"))
        })
        .await?;
        self.series("entity at a version, by name", READS, |_| {
            entities(&format!("/{old_name}?at={then}"))
        })
        .await?;
        self.series("its history", READS, |_| entities(&format!("/{id}/history")))
            .await?;
        self.series("the history of one by name", READS, |_| {
            entities(&format!("/{name}/history"))
        })
        .await
    }

    async fn read_pages(&mut self) -> anyhow::Result<()> {
        self.series("page of 100 now (floor)", READS, |_| entities("?size=100"))
            .await?;
        self.series("page of 100 at a version", READS, |reader| {
            format!("{}&at={}", entities("?size=100"), reader.version())
        })
        .await?;
        self.series("page of 100 at an early version", READS, |reader| {
            let early = LIVE_ENTITIES + reader.draw(LIVE_ENTITIES);
            format!("{}&at={early}", entities("?size=100"))
        })
        .await?;
        self.series("page of 1,000 at a version", READS, |reader| {
            format!("{}&at={}", entities("?size=1000"), reader.version())
        })
        .await?;
        self.series("page of 100 with a tag, now (floor)", READS, |reader| {
            let team = reader.draw(50);
            entities(&format!("?size=100&tags=team-{team}"))
        })
        .await?;
        self.series("page of 100 with a tag, at a version", READS, |reader| {
            let (team, version) = (reader.draw(50), reader.version());
            entities(&format!("?size=100&tags=team-{team}&at={version}"))
        })
        .await?;
        self.series("configuration at a version, as a file", DIFFERENCES, |reader| {
            format!("/v2/runtime-groups/{GROUP}/versions/{}/config", reader.version())
        })
        .await
    }

    async fn read_history(&mut self) -> anyhow::Result<()> {
        self.series("page of 100 changes, the newest", READS, |_| {
            history("page[size]=100")
        })
        .await?;
        self.series("page of 100 changes, anywhere", READS, |reader| {
            let page = reader.draw(reader.events / 100) + 1;
            history(&format!("page[size]=100&page[number]={page}"))
        })
        .await?;
        self.series("page of 100 changes by one actor", READS, |reader| {
            let actor = reader.draw(long_history::ACTORS);
            history(&format!("page[size]=100&actor=system:benchmark-{actor}"))
        })
        .await?;
        self.series(
            "page of 100 changes with words of their message",
            READS,
            |reader| {
                let release = reader.draw(reader.events / long_history::SAYS_WHY) + 1;
                history(&format!("page[size]=100&message=release%20{release}"))
            },
        )
        .await?;
        self.series("page of 100 changes with one common word", READS, |_| {
            history("page[size]=100&message=release")
        })
        .await?;
        self.series(
            "page of 100 changes with a tag, until a version",
            READS,
            |reader| {
                let (team, until) = (reader.draw(50), reader.version());
                history(&format!("page[size]=100&tag=team-{team}&until={until}"))
            },
        )
        .await?;
        self.series("one change, before and after", READS, |reader| {
            format!("/v2/runtime-groups/{GROUP}/versions/{}", reader.version())
        })
        .await
    }

    async fn compare(&mut self) -> anyhow::Result<()> {
        let difference = |from: u64, to: u64| format!("/v2/runtime-groups/{GROUP}/diff?from={from}&to={to}");
        self.series("difference of neighbours", READS, |reader| {
            let to = reader.version();
            difference(to - 1, to)
        })
        .await?;
        self.series("difference across 1,000 changes", DIFFERENCES, |reader| {
            let to = reader.version();
            difference(to.saturating_sub(1_000), to)
        })
        .await?;
        self.series("difference of any two versions", DIFFERENCES, |reader| {
            let (one, other) = (reader.version(), reader.version());
            difference(one.min(other), one.max(other))
        })
        .await?;
        self.series("difference of the first and the last", DIFFERENCES, |reader| {
            difference(LIVE_ENTITIES, reader.events)
        })
        .await
    }

    /// Back to where the group was many changes ago, and what that was is there again.
    async fn roll_back(&mut self) -> anyhow::Result<()> {
        let to = self.events.saturating_sub(TAKEN_BACK).max(1);
        let digest = |change: &Value| change["digest"].as_str().map(str::to_owned);
        let at = |version: u64| format!("/v2/runtime-groups/{GROUP}/versions/{version}");
        let wanted = digest(&self.read(&at(to)).await?);
        let begun = Instant::now();
        let path = format!("/v2/runtime-groups/{GROUP}/rollback");
        let status = self
            .client
            .send("POST", &path, &format!(r#"{{"to": {to}}}"#))
            .await?;
        let took = begun.elapsed();
        anyhow::ensure!(status == 200, "the rollback answered {status}");
        let report: Value = serde_json::from_slice(self.client.body())?;
        let changed = report["changes"].as_array().map_or(0, Vec::len);
        let version = report["version"].as_u64().context("a rollback has a version")?;
        anyhow::ensure!(
            digest(&self.read(&at(version)).await?) == wanted,
            "the digest didn't return"
        );
        report::line(&format!(
            "rollback across {} changes, {changed} entities: {:.2} s; the digest returned",
            self.events - to,
            took.as_secs_f64()
        ))?;
        Ok(())
    }
}

fn entities(rest: &str) -> String {
    format!("/v2/runtime-groups/{GROUP}/core-entities/services{rest}")
}

fn history(filter: &str) -> String {
    format!("/v2/runtime-groups/{GROUP}/versions?{filter}")
}
