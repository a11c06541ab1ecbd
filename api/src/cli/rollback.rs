//! `rollback`: an earlier configuration again, as a new change.

use clap::Args;
use serde_json::{Value, json};

use super::client::{Client, Connection, group_path};
use super::ending::Ending;
use super::output::cell;
use super::{confirmation, difference};

/// Makes a runtime group's configuration that of an earlier version again, as a new change
///
/// Nothing is forgotten: the changes in between stay in the history, and a rollback can be rolled back.
#[derive(Args, Debug)]
pub struct Rollback {
    /// The version whose configuration shall be again
    #[arg(value_name = "VERSION")]
    to: u64,
    /// The runtime group, an id or a name
    #[arg(long, short)]
    group: String,
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

impl Rollback {
    /// Rolls back and prints what that changed.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let consequence = format!(
            "This takes back every change of the runtime group {} after version {}",
            self.group, self.to
        );
        confirmation::by_name(&consequence, &self.group, self.yes)?;
        let mut request = client
            .post(&format!("{}/rollback", group_path(&self.group)))
            .message(self.message.as_deref())
            .json(&json!({ "to": self.to }));
        if let Some(version) = self.expect_version {
            request = request.header("if-match", &format!("\"{version}\""));
        }
        let answer = request.send().await?.json()?;
        self.connection
            .output
            .show(&answer, |answer| self.report(answer))?;
        Ok(Ending::Done)
    }

    fn report(&self, answer: &Value) -> String {
        let version = &answer["version"];
        if answer["changed"] != Value::Bool(true) {
            return format!("{} is already as it was at version {}", self.group, self.to);
        }
        let mut verdict = format!(
            "{} is at version {version}, which is as version {} was",
            self.group, self.to
        );
        for entity in answer["left_out"].as_array().into_iter().flatten() {
            let (kind, id) = (cell(&entity["kind"]), cell(&entity["id"]));
            verdict.push_str(&format!(
                "\nleft out, because it was erased or has expired: {kind} {id}"
            ));
        }
        format!("{}\n{verdict}", difference::render(&answer["changes"]))
    }
}
