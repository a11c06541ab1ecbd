//! The composition root: from settings to a running program.
//!
//! - [`data_directory`]: the directory, held by one process; [`authority`]: the built-in certificate authority.
//! - [`http_listener`]: the API's front door; [`tls`]: its certificate.

pub mod authority;
pub mod data_directory;
pub mod http_listener;
pub mod storage;
pub mod tls;

use std::process::ExitCode;

use crate::config::Settings;
use crate::lifecycle::Lifecycle;

/// Runs the control plane until its end.
pub async fn serve(_settings: Settings) -> anyhow::Result<ExitCode> {
    let lifecycle = Lifecycle::start()?;
    Ok(lifecycle.run().await)
}
