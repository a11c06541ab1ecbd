//! `diff`: what differs between two versions.

use clap::Args;

use super::client::{Client, Connection, group_path};
use super::difference;
use super::ending::Ending;

/// Shows what differs between two versions of a runtime group
#[derive(Args, Debug)]
pub struct Diff {
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    /// The earlier version; 0 is the empty group
    #[arg(value_name = "FROM")]
    from: u64,
    /// The later version [default: the newest]
    #[arg(value_name = "TO")]
    to: Option<u64>,
    #[command(flatten)]
    connection: Connection,
}

impl Diff {
    /// Prints the difference.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let mut path = format!("{}/diff?from={}", group_path(&self.group), self.from);
        if let Some(to) = self.to {
            path.push_str(&format!("&to={to}"));
        }
        let answer = client.get(&path).send().await?.json()?;
        self.connection.output.show(&answer, |answer| {
            let changes = &answer["changes"];
            match changes.as_array().is_none_or(Vec::is_empty) {
                true => "no difference".to_owned(),
                false => format!(
                    "{}\n{}",
                    difference::render(changes),
                    difference::summary(changes)
                ),
            }
        })?;
        Ok(Ending::Done)
    }
}
