//! The one description of a Kong data plane's settings (`kong-hybrid-protocol.md` §7); every rendering is made of it.

use domain::Secret;
use domain::compatibility::{GatewayVersion, Release};

use super::{Endpoint, ProvisioningError};

/// The newest open-source image.
const NEWEST: &str = "3.9";

/// A Kong data plane to be.
#[derive(Clone, Debug)]
pub struct DataPlane {
    /// Its runtime group's name.
    pub group: String,
    /// Where it connects.
    pub endpoint: Endpoint,
    /// Its certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: Secret,
    /// The CA that the listener's certificate chains to, PEM.
    pub authority: String,
    /// Which Kong it is.
    pub image: KongImage,
}

/// A version of Kong as its image is tagged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KongImage {
    /// The image's tag: `3.9`, `3.4.2`.
    pub tag: String,
    /// Whether its kong.conf takes certificates themselves instead of files: 3.1 and newer.
    pub inline_certificates: bool,
}

impl KongImage {
    /// The version somebody asked for; the newest if nobody did.
    pub fn of(version: Option<&str>) -> Result<Self, ProvisioningError> {
        let tag = version.unwrap_or(NEWEST);
        let unknown = || ProvisioningError::Version(tag.to_owned());
        let is_tag = tag
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
        let full = match tag.matches('.').count() {
            1 => format!("{tag}.1"),
            _ => tag.to_owned(),
        };
        let parsed = GatewayVersion::parse(&full)
            .filter(|_| is_tag)
            .ok_or_else(unknown)?;
        Release::of(parsed).map_err(|_| unknown())?;
        Ok(Self {
            tag: tag.to_owned(),
            inline_certificates: (parsed.major, parsed.minor) >= (3, 1),
        })
    }
}

/// One setting of kong.conf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Setting<'a> {
    /// Its key in kong.conf.
    pub(super) key: &'static str,
    /// Its value.
    pub(super) value: SettingValue<'a>,
}

/// A setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SettingValue<'a> {
    /// A text.
    Text(&'a str),
    /// A certificate or key: a file's path or, where the version takes it, the PEM itself.
    Pem(PemFile<'a>),
}

/// A certificate or key that may have to be a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PemFile<'a> {
    /// The file's name.
    pub(super) name: &'static str,
    /// What is in it.
    pub(super) pem: &'a str,
    /// Its mode: only the key is a secret.
    pub(super) mode: &'static str,
}

impl DataPlane {
    /// Every setting, in the order in which people look for them.
    pub(super) fn settings(&self) -> Vec<Setting<'_>> {
        let text = |key, value| Setting {
            key,
            value: SettingValue::Text(value),
        };
        let pem = |key, file| Setting {
            key,
            value: SettingValue::Pem(file),
        };
        let [certificate, key, authority] = self.files();
        vec![
            text("role", "data_plane"),
            text("database", "off"),
            text("cluster_mtls", "pki"),
            text("cluster_control_plane", &self.endpoint.address),
            text("cluster_server_name", &self.endpoint.server_name),
            pem("cluster_cert", certificate),
            pem("cluster_cert_key", key),
            pem("cluster_ca_cert", authority),
            text("proxy_listen", "0.0.0.0:8000, 0.0.0.0:8443 ssl"),
            text("admin_listen", "off"),
            text("status_listen", "0.0.0.0:8100"),
            text("anonymous_reports", "off"),
        ]
    }

    /// The certificates and the key as files.
    pub(super) fn files(&self) -> [PemFile<'_>; 3] {
        let file = |name, pem, mode| PemFile { name, pem, mode };
        [
            file("tls.crt", self.certificate.as_str(), "0644"),
            file("tls.key", self.key.expose(), "0640"),
            file("ca.crt", self.authority.as_str(), "0644"),
        ]
    }

    /// A name for a container: the group's, as far as it may stand there.
    pub(super) fn container(&self) -> String {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
        let name: String = self
            .group
            .chars()
            .map(|letter| if allowed(letter) { letter } else { '-' })
            .collect();
        format!("kong-{name}")
    }
}
