//! `node certificate`: the certificates that open a runtime group to its instances.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use domain::Timestamp;
use serde_json::{Value, json};

use super::client::{Client, Connection, group_path, segment};
use super::ending::Ending;
use super::output::{Output, cell};
use super::private_file::PrivateFile;
use super::table::Table;
use super::{confirmation, possession_proof, terminal};

/// The certificates that open a runtime group to its instances
#[derive(Subcommand, Debug)]
pub enum NodeCertificate {
    /// Lists the certificates with their end
    List(List),
    /// Adds a certificate, of an instance or of an authority that issues them
    Add(Add),
    /// Issues a certificate by the built-in CA; its key is shown once
    Issue(Issue),
    /// Removes a certificate and closes its instances' connections
    Revoke(Revoke),
}

impl NodeCertificate {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<Ending> {
        match self {
            Self::List(command) => command.run().await,
            Self::Add(command) => command.run().await,
            Self::Issue(command) => command.run().await,
            Self::Revoke(command) => command.run().await,
        }
    }
}

fn path(group: &str) -> String {
    format!("{}/dp-client-certificates", group_path(group))
}

/// Lists the certificates with their end
#[derive(Args, Debug)]
pub struct List {
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    #[command(flatten)]
    connection: Connection,
}

impl List {
    async fn run(self) -> anyhow::Result<Ending> {
        let client = Client::new(&self.connection)?;
        let items = client.get(&path(&self.group)).send().await?.json()?["items"].take();
        self.connection.output.show(&items, table)?;
        Ok(Ending::Done)
    }
}

fn table(certificates: &Value) -> String {
    let mut table = Table::new(&[
        "NAME",
        "ID",
        "SUBJECT",
        "ISSUES OTHERS",
        "EXPIRES",
        "FINGERPRINT",
        "WARNINGS",
    ]);
    for certificate in certificates.as_array().into_iter().flatten() {
        let warnings = certificate["warnings"].as_array().into_iter().flatten();
        let warnings: Vec<_> = warnings.filter_map(Value::as_str).collect();
        table.row(vec![
            cell(&certificate["name"]),
            cell(&certificate["id"]),
            cell(&certificate["subject"]),
            cell(&certificate["is_ca"]),
            time(&certificate["expires_at"]),
            cell(&certificate["fingerprint"]),
            cell(&Value::from(warnings.join("; "))),
        ]);
    }
    if table.is_empty() {
        "no certificate opens this runtime group yet".to_owned()
    } else {
        table.render()
    }
}

fn time(seconds: &Value) -> String {
    let seconds = seconds.as_i64();
    seconds.map_or_else(
        || "-".to_owned(),
        |seconds| Timestamp(0).plus_seconds(seconds).rfc3339(),
    )
}

/// Adds a certificate, of an instance or of an authority that issues them
///
/// Whoever isn't an admin of the whole installation shows with --key that the certificate is theirs.
#[derive(Args, Debug)]
pub struct Add {
    /// The certificate alone, PEM: its private key stays with the instance
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its private key, PEM: a challenge of the server is signed with it here, and it is sent nowhere
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Add {
    async fn run(self) -> anyhow::Result<Ending> {
        let pem = std::fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())?;
        let client = Client::new(&self.connection)?;
        let mut body = json!({ "cert": pem, "name": self.name });
        if let Some(key) = &self.key {
            let challenge = client
                .get(&format!("{}/challenge", path(&self.group)))
                .send()
                .await?;
            let challenge = challenge.json()?["challenge"].take();
            body["proof"] = possession_proof::sign(challenge.as_str().unwrap_or_default(), key)?;
        }
        let item = client.post(&path(&self.group)).json(&body).send().await?.json()?["item"].take();
        self.connection.output.show(&item, |item| cell(&item["id"]))?;
        Ok(Ending::Done)
    }
}

/// What an issued certificate is written to: its key, itself, and who issued it.
const FILES: [&str; 3] = ["tls.key", "tls.crt", "ca.crt"];

/// Issues a certificate by the built-in CA; its key is shown once
///
/// Writes tls.crt, tls.key and ca.crt into the directory, or prints all three as JSON with --output json.
#[derive(Args, Debug)]
pub struct Issue {
    /// Where tls.crt, tls.key (0600) and ca.crt are written
    #[arg(long, value_name = "DIRECTORY", default_value = ".")]
    write: PathBuf,
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    /// What people call it, and its common name [default: the group's name]
    #[arg(long)]
    name: Option<String>,
    /// For how many days it is valid [default: three years]
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    #[command(flatten)]
    connection: Connection,
}

impl Issue {
    async fn run(self) -> anyhow::Result<Ending> {
        let files: anyhow::Result<Vec<_>> = match self.connection.output {
            Output::Table => FILES
                .iter()
                .map(|name| PrivateFile::create(&self.write.join(name)))
                .collect(),
            Output::Json => Ok(Vec::new()),
        };
        let files = files?;
        let client = Client::new(&self.connection)?;
        let path = format!("{}/issue", path(&self.group));
        let body = json!({ "name": self.name, "days": self.days });
        let issued = client.post(&path).json(&body).send().await?.json()?;
        if self.connection.output == Output::Json {
            self.connection.output.show(&issued, cell)?;
            return Ok(Ending::Done);
        }
        let id = cell(&issued["item"]["id"]);
        let text = |field: &str| issued[field].as_str();
        let (Some(certificate), Some(key), Some(authority)) = (text("cert"), text("key"), text("ca")) else {
            bail!(
                "the certificate {id} was issued, but the answer with its key was lost: revoke it with `runtime-manager node certificate revoke {id} --group {}` and issue another",
                self.group
            );
        };
        for (file, pem) in files.into_iter().zip([key, certificate, authority]) {
            file.write(pem)?;
        }
        terminal::note(&format!(
            "wrote tls.crt, tls.key and ca.crt into {}",
            self.write.display()
        ));
        terminal::print(&id)?;
        Ok(Ending::Done)
    }
}

/// Removes a certificate and closes its instances' connections
#[derive(Args, Debug)]
pub struct Revoke {
    /// The certificate's id
    id: String,
    /// The runtime group, an id or a name
    #[arg(long, short, default_value = "default")]
    group: String,
    /// Doesn't ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Revoke {
    async fn run(self) -> anyhow::Result<Ending> {
        let consequence = "Instances with this certificate are cut off and refused from now on".to_owned();
        confirmation::by_name(&consequence, &self.id, self.yes)?;
        let client = Client::new(&self.connection)?;
        let path = format!("{}/{}", path(&self.group), segment(&self.id));
        client.delete(&path).send().await?;
        terminal::note(&format!("{} is revoked", self.id));
        Ok(Ending::Done)
    }
}
