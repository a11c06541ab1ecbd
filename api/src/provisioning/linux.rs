//! Kong installed on a Linux machine: a script that writes its certificates and its kong.conf, and starts it again.

use super::data_plane::{DataPlane, SettingValue};
use super::kong_conf::line;
use super::shell::{comment, with_input};

/// Where the certificates are.
const PLACE: &str = "/etc/kong/cluster";

pub(super) fn render(data_plane: &DataPlane) -> String {
    let mut text = "#!/bin/sh\n".to_owned();
    text += &comment(&format!(
        "A Kong data plane of the runtime group {}, on a machine where Kong {} is installed. Run it as root.",
        data_plane.group, data_plane.image.tag
    ));
    text += &comment("This text holds its private key: keep it as you keep passwords.");
    text += "set -eu\n";
    text += &format!("install -d -m 0750 -o root -g kong {PLACE}\n");
    for file in data_plane.files() {
        let command = format!(
            "install -m {} -o root -g kong /dev/stdin {PLACE}/{}",
            file.mode, file.name
        );
        text += &with_input(&command, file.pem);
    }
    text += "if [ -e /etc/kong/kong.conf ]; then cp -p /etc/kong/kong.conf /etc/kong/kong.conf.before; fi\n";
    let settings = data_plane.settings();
    let conf: String = settings
        .iter()
        .map(|setting| match setting.value {
            SettingValue::Text(value) => line(setting.key, value),
            SettingValue::Pem(file) => line(setting.key, &format!("{PLACE}/{}", file.name)),
        })
        .collect();
    text += &with_input("install -m 0644 /dev/stdin /etc/kong/kong.conf", &conf);
    text + "kong check /etc/kong/kong.conf\nsystemctl restart kong\n"
}
