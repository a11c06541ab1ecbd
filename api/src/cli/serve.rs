//! `serve`: runs the control plane.

use std::sync::Arc;

use clap::Args;
use domain::Secret;

use super::ending::Ending;
use super::terminal;
use crate::clock::machine::Machine;
use crate::compose::control_plane;
use crate::compose::first_start::ADMIN_TOKEN_FILE;
use crate::config::{ServeFlags, Settings};
use crate::telemetry;

/// Runs the control plane: API and the runtime instances' listener
///
/// Every flag is also an environment variable RUNTIME_MANAGER_<FLAG> and a key in the file that --config
/// names; a flag beats the variable, the variable beats the file.
#[derive(Args, Debug)]
pub struct Serve {
    #[command(flatten)]
    flags: ServeFlags,
}

impl Serve {
    /// Runs until a signal, or until a part of the program fails.
    pub async fn run(self) -> anyhow::Result<Ending> {
        let settings = Settings::from_flags(self.flags)?;
        telemetry::install(settings.log_format);
        let file = settings.storage.data_dir.join(ADMIN_TOKEN_FILE);
        let announce = |token: &Secret| {
            let file = file.display();
            let text = format!(
                "First start. The admin token, shown this once and kept in {file}:\n{}",
                token.expose()
            );
            // Nobody reads standard output? The token is in its file.
            drop(terminal::print(&text));
        };
        Ok(Ending::Exit(
            control_plane::serve(settings, announce, Arc::new(Machine)).await?,
        ))
    }
}
