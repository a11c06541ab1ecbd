//! `diff`: what differs between two versions, or between a version and a file, another group, or a runtime instance.

use std::path::PathBuf;

use clap::Args;

use super::change_report::ChangeReport;
use super::client::{Client, Connection, group_path, segment};
use super::declarative_files;
use super::ending::Ending;

/// Shows what differs between two versions of a runtime group, or between a version and something else
///
/// `+` came to be, `~` changed, `-` is gone. A secret that changed is named and never shown; with a file or another group secrets are
/// compared only for those who may read them. Exit codes: 0 no difference,
/// 2 different, 1 refused or failed.
#[derive(Args, Debug)]
pub struct Diff {
    /// The version or RFC 3339 time to compare from; 0 is the empty group [default with --file or --with: the newest]. With
    /// --node the one to compare with
    #[arg(value_name = "FROM", required_unless_present_any = ["file", "with", "node"])]
    from: Option<String>,
    /// The version or RFC 3339 time to compare with, with --with the other group's [default: the newest]
    #[arg(value_name = "TO", conflicts_with_all = ["file", "node"])]
    to: Option<String>,
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    /// With declarative files in decK's format: what applying and pruning them would change; `-` reads standard input
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["with", "node"])]
    file: Vec<PathBuf>,
    /// With another runtime group, as if its configuration stood in this one
    #[arg(long, value_name = "GROUP", conflicts_with = "node")]
    with: Option<String>,
    /// From what a runtime instance runs
    #[arg(long, value_name = "ID")]
    node: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Diff {
    /// Prints the difference.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let path = self.path();
        let request = if self.file.is_empty() {
            client.get(&path)
        } else {
            let file = declarative_files::read(&self.file)?;
            client.post(&path).body(file.media_type, file.text).only_asking()
        };
        let answer = request.send().await?;
        let report = ChangeReport::show(&answer, self.connection.output, page)?;
        Ok(match report.difference.is_none() {
            true => Ending::Done,
            false => Ending::Changed,
        })
    }

    fn path(&self) -> String {
        let (from, to) = match self.node {
            Some(_) => (&None, &self.from),
            None => (&self.from, &self.to),
        };
        let wanted = [
            ("from", from),
            ("to", to),
            ("with", &self.with),
            ("node", &self.node),
        ];
        let said = wanted
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_ref()?))));
        let said: Vec<_> = said.collect();
        format!("{}/diff?{}", group_path(&self.group), said.join("&"))
    }
}

fn page(report: &ChangeReport) -> String {
    let ChangeReport { facts, difference } = report;
    let mut page = match difference.is_none() {
        true => "no difference".to_owned(),
        false => format!("{}\n{}", difference.render(), difference.summary()),
    };
    if facts["secrets_compared"] == false {
        page.push_str("\nsecrets are not compared: that takes a token that may read them");
    }
    page
}
