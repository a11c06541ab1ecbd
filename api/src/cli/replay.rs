//! `replay`: a runtime group's configuration folded from its first event.

use anyhow::bail;
use clap::{Args, ValueEnum};
use domain::declarative::{Canonical, DumpOptions, dump, kong};
use domain::{Timestamp, Version};
use projections::audit::{AuditedGroup, Replayed, Until, find_group, replay};
use serde_json::{Map, Value, json};

use super::ending::Ending;
use super::progress;
use super::terminal;
use crate::compose::installation::Installation;
use crate::config::{StorageFlags, StorageSettings};

/// Folds a runtime group from its first event and prints what comes out
///
/// Reads the log and its keys and nothing else: no views, no stored state, no server; one may run meanwhile. The
/// digest is the one that the server answers for that version. Secrets are printed as they are, except in a summary.
#[derive(Args, Debug)]
pub struct Replay {
    /// The runtime group, an id or a name; a deleted group by its id
    #[arg(long, short, default_value = "default")]
    group: String,
    /// The version after which to stop, or an RFC 3339 time [default: the newest version]
    #[arg(long, value_name = "VERSION|TIME", value_parser = until)]
    until: Option<Until>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    storage: StorageFlags,
}

/// What is printed of the outcome.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// Version, time, digest and how many entities of each kind.
    #[default]
    Summary,
    /// The same and every entity, as JSON.
    Json,
    /// The configuration as a decK file.
    Deck,
    /// The configuration as a Kong without a database loads it.
    Kong,
}

impl Replay {
    /// Reads, folds, prints.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let settings = StorageSettings::from_flags(self.storage)?;
        let installation = Installation::open_to_read(&settings).await?;
        let (log, keyring) = (&*installation.storage.log, &installation.storage.keyring);
        let group = find_group(log, keyring, &self.group).await?;
        let until = self.until.unwrap_or(Until::Newest);
        let replaying = replay(log, keyring, group.record.id, until);
        let replayed = progress::spin("replaying", replaying).await?;
        if let Until::Version(version) = until
            && version > replayed.group.version
        {
            let newest = replayed.group.version;
            bail!("version {version} doesn't exist: the newest is {newest}");
        }
        terminal::print_document(&self.format.render(&group, &replayed)?)?;
        installation.close().await;
        Ok(Ending::Done)
    }
}

fn until(text: &str) -> Result<Until, String> {
    if let Ok(version) = text.parse::<Version>() {
        return Ok(Until::Version(version));
    }
    let time = text.parse::<Timestamp>().map(Until::Time);
    time.map_err(|_| "expected a version or an RFC 3339 time".to_owned())
}

impl Format {
    fn render(self, group: &AuditedGroup, replayed: &Replayed) -> anyhow::Result<String> {
        let entities = || replayed.group.entities();
        Ok(match self {
            Self::Summary => summary(&facts(group, replayed)),
            Self::Json => {
                let mut whole = facts(group, replayed);
                whole.extend(canonical(replayed)?);
                serde_json::to_string_pretty(&whole)?
            }
            Self::Deck => serde_saphyr::to_string(&dump(entities(), &DumpOptions::default()))?,
            Self::Kong => {
                let bodies = entities().map(|entity| (entity.kind, &*entity.body));
                serde_saphyr::to_string(&kong(bodies))?
            }
        })
    }
}

fn facts(group: &AuditedGroup, replayed: &Replayed) -> Map<String, Value> {
    let state = &replayed.group;
    let mut counts = Map::new();
    for entity in state.entities() {
        let count = counts.entry(entity.kind.name()).or_insert(json!(0));
        *count = json!(count.as_u64().unwrap_or(0) + 1);
    }
    let facts = json!({
        "group": group.record.id,
        "name": group.record.name,
        "version": state.version,
        "at": (state.version > 0).then(|| state.at.to_string()),
        "position": replayed.position,
        "digest": replayed.digest,
        "events": replayed.events,
        "counts": counts,
    });
    match facts {
        Value::Object(facts) => facts,
        _ => Map::new(),
    }
}

fn summary(facts: &Map<String, Value>) -> String {
    let mut lines = Vec::new();
    for (name, value) in facts {
        match value {
            Value::Object(counts) => {
                let counts = counts.iter().map(|(kind, count)| format!("{count} {kind}"));
                let counts: Vec<_> = counts.collect();
                lines.push(format!("{:9} {}", "entities", counts.join(", ")));
            }
            value => lines.push(format!("{name:9} {}", super::output::cell(value))),
        }
    }
    lines.join("\n")
}

/// The configuration as it is stored, and which it is.
fn canonical(replayed: &Replayed) -> anyhow::Result<Map<String, Value>> {
    let state = &replayed.group;
    let at = (state.version > 0).then_some(state.at);
    let written = Canonical::new(state.version, at, Some(replayed.digest)).with(state.entities());
    Ok(serde_json::from_value(serde_json::to_value(written)?)?)
}
