//! `group`: runtime groups.

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Client, Connection, group_path, segment};
use super::confirmation;
use super::ending::Ending;
use super::labels::label;
use super::output::cell;
use super::table::Table;
use super::terminal;

/// Runtime groups
#[derive(Subcommand, Debug)]
pub enum Group {
    /// Makes a new runtime group
    Create(Create),
    /// Lists the runtime groups
    List(List),
    /// Shows one runtime group
    Get(Get),
    /// Changes a runtime group's name, description or labels
    Update(Update),
    /// Deletes a runtime group; its history stays, and it can be restored
    Delete(Delete),
    /// Brings a deleted runtime group back
    Restore(Restore),
    /// Makes what is secret in a deleted runtime group unreadable for ever
    Purge(Purge),
}

impl Group {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<Ending> {
        match self {
            Self::Create(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Get(command) => command.run().await,
            Self::Update(command) => command.run().await,
            Self::Delete(command) => command.run().await,
            Self::Restore(command) => command.run().await,
            Self::Purge(command) => command.run().await,
        }
    }
}

/// Makes a new runtime group
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the organization
    name: String,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// A label; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Why, for the history
    #[arg(long, short)]
    message: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Create {
    async fn run(self) -> anyhow::Result<Ending> {
        let mut body = json!({ "name": self.name });
        if let Some(description) = self.description {
            body["description"] = Value::from(description);
        }
        if !self.labels.is_empty() {
            body["labels"] = labels(self.labels);
        }
        let client = Client::new(&self.connection)?;
        let request = client.post("/v2/runtime-groups").message(self.message.as_deref());
        let group = request.json(&body).send().await?.json()?;
        self.connection.output.show(&group, page)?;
        Ok(Ending::Done)
    }
}

/// Lists the runtime groups
#[derive(Args, Debug)]
pub struct List {
    /// The deleted ones instead, with the time of their purge
    #[arg(long)]
    deleted: bool,
    #[command(flatten)]
    connection: Connection,
}

impl List {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let path = format!("/v2/runtime-groups?filter%5Bdeleted%5D={}", self.deleted);
        let groups = Value::from(client.list(&path).await?);
        let table = if self.deleted {
            deleted_groups
        } else {
            existing_groups
        };
        self.connection.output.show(&groups, table)?;
        Ok(Ending::Done)
    }
}

fn existing_groups(groups: &Value) -> String {
    let mut table = Table::new(&["NAME", "ID", "LABELS", "CREATED", "DESCRIPTION"]);
    for group in groups.as_array().into_iter().flatten() {
        table.row(vec![
            cell(&group["name"]),
            cell(&group["id"]),
            label_cell(&group["labels"]),
            cell(&group["created_at"]),
            cell(&group["description"]),
        ]);
    }
    table.render()
}

fn deleted_groups(groups: &Value) -> String {
    let mut table = Table::new(&["NAME", "ID", "DELETED", "PURGE"]);
    for group in groups.as_array().into_iter().flatten() {
        let purge = match (&group["purged_at"], &group["purge_at"]) {
            (Value::Null, Value::Null) => "never by itself".to_owned(),
            (Value::Null, at) => cell(at),
            (at, _) => format!("done {}", cell(at)),
        };
        table.row(vec![
            cell(&group["name"]),
            cell(&group["id"]),
            cell(&group["deleted_at"]),
            purge,
        ]);
    }
    table.render()
}

/// Shows one runtime group
#[derive(Args, Debug)]
pub struct Get {
    /// An id or a name
    group: String,
    #[command(flatten)]
    connection: Connection,
}

impl Get {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let group = client.get(&group_path(&self.group)).send().await?.json()?;
        self.connection.output.show(&group, page)?;
        Ok(Ending::Done)
    }
}

/// Changes a runtime group's name, description or labels
#[derive(Args, Debug)]
pub struct Update {
    /// An id or a name
    group: String,
    /// Its new name
    #[arg(long)]
    name: Option<String>,
    /// What it is for; an empty text removes the description
    #[arg(long)]
    description: Option<String>,
    /// A label; repeatable, replaces all labels it had
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Why, for the history
    #[arg(long, short)]
    message: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Update {
    async fn run(self) -> anyhow::Result<Ending> {
        let mut body = Map::new();
        if let Some(name) = self.name {
            body.insert("name".to_owned(), Value::from(name));
        }
        if let Some(description) = self.description {
            let description = Some(description).filter(|text| !text.is_empty());
            body.insert("description".to_owned(), Value::from(description));
        }
        if !self.labels.is_empty() {
            body.insert("labels".to_owned(), labels(self.labels));
        }
        if body.is_empty() {
            bail!("nothing to change: give --name, --description or --label");
        }
        let client = Client::new(&self.connection)?;
        let request = client
            .patch(&group_path(&self.group))
            .message(self.message.as_deref());
        let group = request.json(&Value::Object(body)).send().await?.json()?;
        self.connection.output.show(&group, page)?;
        Ok(Ending::Done)
    }
}

/// Deletes a runtime group; its history stays, and it can be restored
#[derive(Args, Debug)]
pub struct Delete {
    /// An id or a name
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

impl Delete {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let group = client.get(&group_path(&self.group)).send().await?.json()?;
        let (id, name) = (cell(&group["id"]), cell(&group["name"]));
        let consequence = format!("This deletes the runtime group {name} with its whole configuration");
        confirmation::by_name(&consequence, &name, self.yes)?;
        let request = client.delete(&group_path(&id)).message(self.message.as_deref());
        request.send().await?;
        terminal::note(&format!(
            "{name} is deleted. Its history can be read by its id; to have it back: runtime-manager group restore {id}"
        ));
        Ok(Ending::Done)
    }
}

/// Brings a deleted runtime group back
#[derive(Args, Debug)]
pub struct Restore {
    /// Its id
    id: String,
    /// A new name, for when the old one is taken by now
    #[arg(long)]
    name: Option<String>,
    /// Why, for the history
    #[arg(long, short)]
    message: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Restore {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let path = format!("{}/restore", group_path(&self.id));
        let mut body = json!({});
        if let Some(name) = self.name {
            body["name"] = Value::from(name);
        }
        let request = client.post(&path).message(self.message.as_deref());
        let group = request.json(&body).send().await?.json()?;
        self.connection.output.show(&group, page)?;
        for certificate in group["left_out_certificates"].as_array().into_iter().flatten() {
            terminal::note(&format!(
                "the certificate {} belongs to another group by now: its instances stay there",
                cell(&certificate["fingerprint"])
            ));
        }
        for token in group["left_out_tokens"].as_array().into_iter().flatten() {
            let (name, role) = (cell(&token["name"]), cell(&token["role"]));
            terminal::note(&format!(
                "the token {name} was revoked when the group was deleted and doesn't come back: make another with `runtime-manager token create {name} --role {role} --group {}`",
                cell(&group["name"])
            ));
        }
        Ok(Ending::Done)
    }
}

/// Makes what is secret in a deleted runtime group unreadable for ever
///
/// Its keys are destroyed: certificates' keys, credentials, consumers' names and plugins' secrets in its history can't be
/// read any more, and it can't be restored. Backups made before still hold the keys.
#[derive(Args, Debug)]
pub struct Purge {
    /// Its id
    id: String,
    /// Why, for the history
    #[arg(long, short)]
    message: Option<String>,
    /// Doesn't ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Purge {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let path = format!(
            "/v2/runtime-groups?filter%5Bdeleted%5D=true&filter%5Bid%5D={}",
            segment(&self.id)
        );
        let Some(group) = client.list(&path).await?.into_iter().next() else {
            bail!(
                "{} isn't the id of a deleted runtime group: runtime-manager group list --deleted",
                self.id
            );
        };
        let name = cell(&group["name"]);
        let consequence = format!(
            "This destroys the keys of the deleted runtime group {name}, so that it can never be restored"
        );
        confirmation::by_name(&consequence, &name, self.yes)?;
        let path = format!("{}/purge", group_path(&self.id));
        let request = client.post(&path).message(self.message.as_deref());
        let group = request.send().await?.json()?;
        self.connection.output.show(&group, |group| {
            let at = cell(&group["purged_at"]);
            format!("{name} was purged at {at}; its history can be read by its id, without its secrets")
        })?;
        Ok(Ending::Done)
    }
}

fn page(group: &Value) -> String {
    let facts = [
        ("name", cell(&group["name"])),
        ("id", cell(&group["id"])),
        ("description", cell(&group["description"])),
        ("labels", label_cell(&group["labels"])),
        ("created", cell(&group["created_at"])),
        ("updated", cell(&group["updated_at"])),
    ];
    let lines: Vec<String> = facts
        .iter()
        .map(|(name, value)| format!("{name:12} {value}"))
        .collect();
    lines.join("\n")
}

fn label_cell(labels: &Value) -> String {
    let labels = labels.as_object().into_iter().flatten();
    let labels: Vec<String> = labels
        .map(|(key, value)| format!("{key}={}", cell(value)))
        .collect();
    if labels.is_empty() {
        "-".to_owned()
    } else {
        labels.join(",")
    }
}

fn labels(labels: Vec<(String, String)>) -> Value {
    let labels: Map<String, Value> = labels
        .into_iter()
        .map(|(key, value)| (key, Value::from(value)))
        .collect();
    Value::Object(labels)
}
