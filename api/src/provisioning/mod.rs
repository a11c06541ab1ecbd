//! What a new instance is started with: one description of its settings, rendered for the platform it runs on.
//!
//! - [`data_plane`]: the description of a Kong data plane (`kong-hybrid-protocol.md` §7); [`endpoint`]: where it connects.
//! - [`docker`], [`linux`], [`kubernetes`], [`kong_conf`] render it; [`agent`] does the same for our own agent.
//! - [`shell`]: how a text stands in a shell script.

mod agent;
mod data_plane;
mod docker;
mod endpoint;
mod kong_conf;
mod kubernetes;
mod linux;
mod shell;
#[cfg(test)]
mod tests;

pub use agent::AgentInstance;
pub use data_plane::{DataPlane, KongImage};
pub use endpoint::Endpoint;

use serde::Deserialize;

/// Where a new instance runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// Kong in a container: a `docker run` command
    Docker,
    /// Kong installed on a Linux machine: a script that writes its files
    Linux,
    /// Kong's Helm chart: a script with the secret and the chart's values
    Kubernetes,
    /// Only a kong.conf, its certificates inside it; Kong 3.1 and newer
    KongConf,
    /// Our own agent in front of a Kong without a database: a script that writes its files
    Agent,
}

impl Platform {
    /// As people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Linux => "linux",
            Self::Kubernetes => "kubernetes",
            Self::KongConf => "kong-conf",
            Self::Agent => "agent",
        }
    }
}

/// Why an instance can't be described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProvisioningError {
    /// Nobody could reach the listener, or not by TLS.
    #[error("{0}")]
    Endpoint(String),
    /// Not a version of Kong that can connect.
    #[error("'{0}' is no version of Kong that can connect: give one such as 3.9 or 3.4.2")]
    Version(String),
    /// The rendering needs what the version can't do.
    #[error(
        "Kong {version} reads certificates from files only, which {platform} has none of: use --platform linux or docker"
    )]
    NeedsFiles {
        /// The version.
        version: String,
        /// The platform.
        platform: &'static str,
    },
}

impl DataPlane {
    /// The text for a platform: a script or a file, with its own explanation. None for the agent's, which is no Kong.
    pub fn render(&self, platform: Platform) -> Option<Result<String, ProvisioningError>> {
        match platform {
            Platform::Docker => Some(Ok(docker::render(self))),
            Platform::Linux => Some(Ok(linux::render(self))),
            Platform::Kubernetes => Some(Ok(kubernetes::render(self))),
            Platform::KongConf => Some(kong_conf::render(self)),
            Platform::Agent => None,
        }
    }
}
