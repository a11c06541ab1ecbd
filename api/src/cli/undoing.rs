//! What `rollback`, `revert` and `restore` share: the flags, the confirmation, and the report of what came of it.

use clap::Args;
use serde_json::{Value, json};

use super::change_report::ChangeReport;
use super::client::{Client, Connection, group_path};
use super::ending::Ending;
use super::output::cell;
use super::{confirmation, outlook};

/// How something is undone.
#[derive(Args, Debug)]
pub struct Undoing {
    /// The runtime group, an id or a name
    #[arg(long, short)]
    pub group: String,
    /// Shows what would change and changes nothing
    #[arg(long)]
    dry_run: bool,
    /// Refuses unless this is the group's version
    #[arg(long, value_name = "VERSION")]
    expect_version: Option<u64>,
    /// Why, for the history
    #[arg(long, short)]
    message: Option<String>,
    /// Doesn't ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

/// What is undone, for the server and for people.
#[derive(Debug)]
pub struct Undone {
    /// The path below the group's.
    pub path: String,
    /// More of its query, each parameter with its `&`.
    pub query: String,
    /// The request.
    pub body: Value,
    /// What the person is asked about; none where nothing is lost.
    pub consequence: Option<String>,
    /// What is then so: `as version 3 was`.
    pub effect: String,
}

impl Undoing {
    /// Undoes it and prints what that changed.
    pub async fn run(self, undone: Undone) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        if let Some(consequence) = undone.consequence.as_ref().filter(|_| !self.dry_run) {
            confirmation::by_name(consequence, &self.group, self.yes)?;
        }
        let Undone { path, query, .. } = &undone;
        let path = format!(
            "{}{path}?dry_run={}{query}",
            group_path(&self.group),
            self.dry_run
        );
        let mut request = client
            .post(&path)
            .message(self.message.as_deref())
            .json(&undone.body);
        if let Some(version) = self.expect_version {
            request = request.header("if-match", &format!("\"{version}\""));
        }
        if self.dry_run {
            request = request.only_asking();
        }
        let answer = request.send().await?;
        let page = |report: &ChangeReport| self.page(report, &undone.effect);
        ChangeReport::show(&answer, self.connection.output, page)?;
        Ok(Ending::Done)
    }

    fn page(&self, report: &ChangeReport, effect: &str) -> String {
        let ChangeReport { facts, difference } = report;
        let (group, version) = (&self.group, &facts["version"]);
        let verdict = match (facts["changed"] == json!(true), self.dry_run) {
            (false, _)
                if facts["left_out"]
                    .as_array()
                    .is_some_and(|left_out| !left_out.is_empty()) =>
            {
                format!("nothing changed in {group}, at version {version}")
            }
            (false, _) => format!("nothing changed: {group} is so already, at version {version}"),
            (true, true) => {
                let summary = difference.summary();
                format!("dry run: {summary} in {group}, which stays at version {version}")
            }
            (true, false) => format!("{group} is at version {version}, {effect}"),
        };
        let mut lines = vec![verdict];
        lines.extend(left_out(facts));
        lines.extend(outlook::hindered(facts));
        match facts["changed"] == json!(true) {
            true => format!("{}\n{}", difference.render(), lines.join("\n")),
            false => lines.join("\n"),
        }
    }
}

fn left_out(answer: &Value) -> Vec<String> {
    let why = |reason: &Value| match reason.as_str() {
        Some("erased") => "it was erased",
        Some("expired") => "it has expired",
        _ => "what it refers to is left out",
    };
    let line = |entity: &Value| {
        let (kind, id) = (cell(&entity["kind"]), cell(&entity["id"]));
        format!("left out, because {}: {kind} {id}", why(&entity["reason"]))
    };
    answer["left_out"]
        .as_array()
        .into_iter()
        .flatten()
        .map(line)
        .collect()
}
