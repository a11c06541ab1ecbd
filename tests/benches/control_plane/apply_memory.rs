//! What a large file takes in memory: in the server and in the command that applies it, at the peak and when all is quiet again. The
//! same configuration three times: into an empty group, with one entity in a hundred changed, and replaced as a whole.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use tempfile::TempDir;
use tests::command_line::CommandLine;
use tests::eventually::eventually;
use tests::servers::Servers;

use crate::apply::{Content, Size};
use crate::engine::Engine;
use crate::{process_usage, report};

/// After how long what isn't needed any more should have gone back to the system.
const QUIET: Duration = Duration::from_secs(30);
/// The exit code of a command that changed something.
const CHANGED: i32 = 2;

/// The steps, in order: what they are called, and what the file has.
const STEPS: [(&str, Content); 3] = [
    (
        "into an empty group",
        Content {
            name: "a",
            edition: 0,
        },
    ),
    (
        "1 % of it changed",
        Content {
            name: "a",
            edition: 1,
        },
    ),
    (
        "all of it replaced",
        Content {
            name: "b",
            edition: 0,
        },
    ),
];

/// Applies files of so many entities to a fresh installation.
pub(crate) async fn measure(engine: &Engine, size: &Size) -> anyhow::Result<()> {
    let entities = size.entities() as u64;
    let mut servers = engine.servers().await;
    servers.api().create_group("large").await;
    let idle = sum(&servers, process_usage::resident);
    report::line(&format!("{entities} entities; idle {} MiB", mebibytes(idle)))?;
    let home = tempfile::tempdir()?;
    for (step, content) in STEPS {
        servers
            .iter()
            .try_for_each(|server| process_usage::forget_peak(server.pid()))?;
        std::fs::write(home.path().join("file.yaml"), size.file(content))?;
        let (took, command) = apply(&servers, &home).await?;
        views_have_it(&servers).await?;
        let peak = sum(&servers, process_usage::peak_resident).saturating_sub(idle);
        tokio::time::sleep(QUIET).await;
        let quiet = sum(&servers, process_usage::resident).saturating_sub(idle);
        report::line(&format!(
            "  {step}: server {} MiB above idle at the peak, {} bytes per entity; {} MiB {} s later; command {} MiB; {:.1} s",
            mebibytes(peak),
            peak / entities,
            mebibytes(quiet),
            QUIET.as_secs(),
            mebibytes(command),
            took.as_secs_f64(),
        ))?;
    }
    servers.stop().await;
    Ok(())
}

/// Applies the file as a person does; answers how long that took, and the command's peak of memory.
async fn apply(servers: &Servers, home: &TempDir) -> anyhow::Result<(Duration, u64)> {
    let server = servers.iter().next().context("an engine has a server")?;
    let path = |name: &str| home.path().join(name).display().to_string();
    let shell =
        CommandLine::of(&server.url(), servers.admin_token()).export("XDG_STATE_HOME", &path("state"));
    let file = path("file.yaml");
    let began = Instant::now();
    let (outcome, peak) = shell
        .run_watched(&["apply", &file, "--group", "large", "--prune"])
        .await;
    let took = began.elapsed();
    anyhow::ensure!(outcome.code() == Some(CHANGED), "{}", outcome.stderr());
    Ok((took, peak))
}

/// A query is answered when the views have what was changed before it.
async fn views_have_it(servers: &Servers) -> anyhow::Result<()> {
    for server in servers.iter() {
        let api = server.api_as(servers.admin_token());
        let list = "/groups/large/admin/services?size=1";
        eventually("the views have the change", async || {
            match api.get(list).await.status.is_success() {
                true => Ok(()),
                false => Err("not yet"),
            }
        })
        .await;
    }
    Ok(())
}

fn sum(servers: &Servers, of: fn(u32) -> u64) -> u64 {
    servers.iter().map(|server| of(server.pid())).sum()
}

const fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}
