//! `apply`: declarative files as one atomic change.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::change_report::ChangeReport;
use super::client::{Client, Connection, group_path};
use super::ending::Ending;
use super::terminal::Style;
use super::{declarative_files, outlook, progress, terminal};

/// Puts declarative files (decK format) into a runtime group as one atomic change
///
/// Several files are merged; `${{ env "DECK_X" }}` in a file stands for the environment variable DECK_X. All of it is
/// applied or nothing is. What was changed is printed. Exit codes: 0 the group was already so, 2 changed (with
/// --dry-run: would change), 1 refused or failed.
#[derive(Args, Debug)]
pub struct Apply {
    /// Declarative files in decK's format, YAML or JSON, or directories of them; `-` reads standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The runtime group, an id or a name
    #[arg(long, short)]
    group: String,
    /// Shows what would change and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Refuses unless this is the group's version
    #[arg(long, value_name = "VERSION")]
    expect_version: Option<u64>,
    /// Why, for the history
    #[arg(long, short)]
    message: Option<String>,
    /// Also deletes what the file doesn't have (within its select tags, if it names any)
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Apply {
    /// Applies the file and prints the difference.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let file = declarative_files::read(&self.files)?;
        let client = Client::new(&self.connection)?;
        let path = format!(
            "{}/apply?dry_run={}&prune={}",
            group_path(&self.group),
            self.dry_run,
            self.prune
        );
        let mut request = client
            .post(&path)
            .message(self.message.as_deref())
            .body(file.media_type, file.text);
        if let Some(version) = self.expect_version {
            request = request.header("if-match", &format!("\"{version}\""));
        }
        if self.dry_run {
            request = request.only_asking();
        }
        let answer = progress::spin("applying", request.send()).await?;
        let report = ChangeReport::show(&answer, self.connection.output, |report| self.page(report))?;
        if report.facts["changed"] == Value::Bool(true) {
            Ok(Ending::Changed)
        } else {
            Ok(Ending::Done)
        }
    }

    fn page(&self, report: &ChangeReport) -> String {
        let ChangeReport { facts, difference } = report;
        let version = &facts["version"];
        let group = &self.group;
        if facts["changed"] != Value::Bool(true) {
            return format!("{group} is already so: nothing changed, version {version}");
        }
        let summary = difference.summary();
        let verdict = if self.dry_run {
            format!("dry run: {summary} in {group}, which stays at version {version}")
        } else {
            format!("{group} is at version {version}: {summary}")
        };
        let mut lines = vec![difference.render()];
        lines.push(terminal::paint(&verdict, Style::Heading));
        lines.extend(outlook::hindered(facts));
        lines.join("\n")
    }
}
