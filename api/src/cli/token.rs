//! `token`: access tokens.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, Connection, segment};
use super::ending::Ending;
use super::output::{Output, cell};
use super::table::Table;
use super::{confirmation, terminal};

/// Access tokens
#[derive(Subcommand, Debug)]
pub enum Token {
    /// Makes a token; it is shown once
    Create(Create),
    /// Lists the tokens, never their secrets
    List(List),
    /// Ends a token
    Revoke(Revoke),
}

impl Token {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<Ending> {
        match self {
            Self::Create(command) => command.run().await,
            Self::List(command) => command.run().await,
            Self::Revoke(command) => command.run().await,
        }
    }
}

/// What a token may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Everything, secrets included
    Admin,
    /// Reads, secrets redacted
    Viewer,
    /// Connects runtime instances to one group
    Instance,
}

impl Role {
    const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::Instance => "instance",
        }
    }
}

/// The token alone goes to standard output, so that it can be stored: TOKEN=$(runtime-manager token create …)
#[derive(Args, Debug)]
pub struct Create {
    /// What people call it
    name: String,
    /// What it may do
    #[arg(long, value_enum)]
    role: Role,
    /// The one runtime group it is for, an id or a name; an instance token needs one
    #[arg(long, short, required_if_eq("role", "instance"))]
    group: Option<String>,
    /// When it stops working by itself, RFC 3339
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Create {
    async fn run(self) -> anyhow::Result<Ending> {
        let mut body = json!({ "name": self.name, "role": self.role.name() });
        if let Some(group) = self.group {
            body["group"] = Value::from(group);
        }
        if let Some(time) = self.expires_at {
            body["expires_at"] = Value::from(time);
        }
        let client = Client::new(&self.connection)?;
        let token = client.post("/v2/tokens").json(&body).send().await?.json()?;
        if self.connection.output == Output::Table {
            terminal::note(&format!("{} is shown once, here:", self.name));
        }
        self.connection
            .output
            .show(&token, |token| cell(&token["token"]))?;
        Ok(Ending::Done)
    }
}

/// Lists the tokens, never their secrets
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    connection: Connection,
}

impl List {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let tokens = Value::from(client.list("/v2/tokens").await?);
        self.connection.output.show(&tokens, |tokens| {
            let mut table = Table::new(&["NAME", "ID", "ROLE", "GROUP", "CREATED", "EXPIRES", "REVOKED"]);
            for token in tokens.as_array().into_iter().flatten() {
                let cells = [
                    "name",
                    "id",
                    "role",
                    "group",
                    "created_at",
                    "expires_at",
                    "revoked_at",
                ];
                table.row(cells.iter().map(|field| cell(&token[*field])).collect());
            }
            table.render()
        })?;
        Ok(Ending::Done)
    }
}

/// Ends a token
#[derive(Args, Debug)]
pub struct Revoke {
    /// The token's id
    id: String,
    /// Doesn't ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Revoke {
    async fn run(self) -> anyhow::Result<Ending> {
        let consequence = "Whoever uses this token is refused from now on, for ever".to_owned();
        confirmation::by_name(&consequence, &self.id, self.yes)?;
        let client = Client::new(&self.connection)?;
        let path = format!("/v2/tokens/{}", segment(&self.id));
        client.delete(&path).send().await?;
        terminal::note(&format!("{} is revoked", self.id));
        Ok(Ending::Done)
    }
}
