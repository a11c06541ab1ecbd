//! `doctor`: looks at an installation, running or not, and says what isn't well and how to mend it.
//!
//! - [`finding`]: a line of the report. [`machine`]: what can be seen without opening anything.
//! - [`running`]: what the server that runs says of itself; [`stopped`]: what its files say while none runs.

mod finding;
mod machine;
mod running;
mod stopped;

use std::path::PathBuf;

use clap::Args;
use reqwest::Url;

use self::finding::Report;
use super::ending::Ending;
use super::{progress, terminal};
use crate::compose::data_directory::DataDirectory;
use crate::config::{StorageFlags, StorageSettings};

/// Checks an installation and says how to mend what isn't well
///
/// Each line says ok, warn or fail, and how to mend it. While a server runs it is asked; else its files are
/// looked at. Nothing is changed. Exit code 1 if anything failed.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Where the server answers, if one runs
    #[arg(
        long,
        value_name = "URL",
        env = "RUNTIME_MANAGER_URL",
        default_value = "http://127.0.0.1:8088"
    )]
    url: Url,
    /// A certificate authority to trust beside the system's, PEM
    #[arg(long, value_name = "FILE", env = "RUNTIME_MANAGER_CA")]
    ca: Option<PathBuf>,
    #[command(flatten)]
    storage: StorageFlags,
}

impl Doctor {
    /// Looks at everything and prints the report.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let settings = StorageSettings::from_flags(self.storage)?;
        let mut report = Report::default();
        machine::look(&settings, &mut report);
        match DataDirectory::holder(&settings.data_dir) {
            Ok(None) => {
                report.ok("server", "none runs on this data directory");
                progress::spin("looking at the log", stopped::look(&settings, &mut report)).await;
            }
            Ok(Some(holder)) => {
                report.ok("server", &format!("runs as process {holder}"));
                running::look(&self.url, self.ca.as_deref(), &mut report).await;
            }
            Err(error) => report.fail("data directory", &error.to_string()),
        }
        terminal::print(&report.render())?;
        if report.has_failures() {
            anyhow::bail!("not everything is well");
        }
        Ok(Ending::Done)
    }
}
