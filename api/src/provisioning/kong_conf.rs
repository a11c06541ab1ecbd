//! Only a kong.conf, with its certificates inside: a line holds no PEM, but its base64, which Kong takes since 3.1.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::data_plane::{DataPlane, SettingValue};
use super::shell::comment;
use super::{Platform, ProvisioningError};

pub(super) fn render(data_plane: &DataPlane) -> Result<String, ProvisioningError> {
    if !data_plane.image.inline_certificates {
        return Err(ProvisioningError::NeedsFiles {
            version: data_plane.image.tag.clone(),
            platform: Platform::KongConf.name(),
        });
    }
    let mut text = comment(&format!(
        "/etc/kong/kong.conf of a Kong data plane of the runtime group {}, Kong {}: mode 0640, owner root, group kong.",
        data_plane.group, data_plane.image.tag
    ));
    text += &comment("It holds the instance's private key: keep it as you keep passwords.");
    for setting in data_plane.settings() {
        text += &match setting.value {
            SettingValue::Text(value) => line(setting.key, value),
            SettingValue::Pem(file) => line(setting.key, &STANDARD.encode(file.pem)),
        };
    }
    Ok(text)
}

/// A line of kong.conf; what would begin a comment is escaped.
pub(super) fn line(key: &str, value: &str) -> String {
    format!("{key} = {}\n", value.replace('#', r"\#"))
}
