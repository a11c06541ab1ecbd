//! `erase`: what shall be forgotten for ever.

use clap::{Args, Subcommand};
use reqwest::StatusCode;
use serde_json::Value;

use super::client::{Client, Connection, group_path, segment};
use super::confirmation;
use super::ending::Ending;
use super::output::cell;
use super::refusal::Refusal;

/// Makes personal data unreadable for ever, in the configuration and in its whole history
#[derive(Subcommand, Debug)]
pub enum Erase {
    /// Erases a consumer with its credentials
    Consumer(Consumer),
}

impl Erase {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<Ending> {
        match self {
            Self::Consumer(command) => command.run().await,
        }
    }
}

/// Erases a consumer with its credentials
///
/// It is deleted with all that belongs to it, and the key is destroyed that opens its names and its credentials in the
/// history. The history goes on saying that there was something, and who erased it when. This can't be undone; backups
/// made before still hold the key.
#[derive(Args, Debug)]
pub struct Consumer {
    /// Its id or its username; of one that was deleted before, the id
    consumer: String,
    /// The runtime group, an id or a name
    #[arg(long, short)]
    group: String,
    /// Why, for the history
    #[arg(long, short)]
    message: Option<String>,
    /// Doesn't ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Consumer {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let (id, name) = self.named(&client).await?;
        let consequence = format!(
            "This erases the consumer {name} from the runtime group {} and from its history, for ever",
            self.group
        );
        confirmation::by_name(&consequence, &name, self.yes)?;
        let path = format!("{}/core-entities/consumers/{id}/erase", group_path(&self.group));
        let request = client.post(&path).message(self.message.as_deref());
        let answer = request.send().await?.json()?;
        self.connection
            .output
            .show(&answer, |answer| self.report(answer))?;
        Ok(Ending::Done)
    }

    /// The consumer's id, and what a person calls it: one that was deleted before has its id only.
    async fn named(&self, client: &Client) -> anyhow::Result<(String, String)> {
        let consumers = format!("{}/core-entities/consumers", group_path(&self.group));
        let found = client.get(&format!("{consumers}/{}", segment(&self.consumer)));
        match found.send().await {
            Ok(answer) => {
                let consumer = answer.json()?;
                let name = consumer["username"]
                    .as_str()
                    .or(consumer["custom_id"].as_str())
                    .unwrap_or(&self.consumer);
                Ok((cell(&consumer["id"]), name.to_owned()))
            }
            // The server knows whether there was one.
            Err(error) if is_not_found(&error) => Ok((segment(&self.consumer), self.consumer.clone())),
            Err(error) => Err(error),
        }
    }

    fn report(&self, answer: &Value) -> String {
        if answer["changed"] != Value::Bool(true) {
            return format!("{} is erased already", cell(&answer["consumer"]));
        }
        let gone = answer["deleted"].as_array().into_iter().flatten();
        let mut lines: Vec<String> = gone
            .map(|entity| format!("deleted {} {}", cell(&entity["kind"]), cell(&entity["id"])))
            .collect();
        lines.push(format!(
            "the consumer {} is erased; {} is at version {}",
            cell(&answer["consumer"]),
            self.group,
            cell(&answer["version"])
        ));
        lines.join("\n")
    }
}

fn is_not_found(error: &anyhow::Error) -> bool {
    let refusal = error.downcast_ref::<Refusal>();
    refusal.is_some_and(|refusal| refusal.status == StatusCode::NOT_FOUND)
}
