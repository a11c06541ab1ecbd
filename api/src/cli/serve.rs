//! `serve`: runs the control plane.

use clap::Args;

use super::ending::Ending;
use crate::compose;
use crate::config::{ServeFlags, Settings};
use crate::telemetry;

/// Every flag is also an environment variable RUNTIME_MANAGER_<FLAG> and a key in the file that --config names; a flag beats the
/// variable, the variable beats the file
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
        Ok(Ending::Exit(compose::serve(settings).await?))
    }
}
