//! Kong in a container: a script that writes its certificates into files and one `docker run` command that mounts them.
//! On the command line, or in the environment, everybody on the machine could read the key.

use super::data_plane::{DataPlane, SettingValue};
use super::shell::{comment, with_input, word};

/// Where the files are in the container.
const PLACE: &str = "/etc/kong/cluster";

pub(super) fn render(data_plane: &DataPlane) -> String {
    let mut text = comment(&format!(
        "A Kong data plane of the runtime group {}. This text holds its private key: keep it as you keep passwords.",
        data_plane.group
    ));
    let folder = format!("./{}", data_plane.container());
    text += &files(data_plane, &folder);
    text += "docker run --detach --restart unless-stopped";
    let mut argument = |flag: &str, value: &str| text += &format!(" \\\n  {flag} {}", word(value));
    argument("--name", &data_plane.container());
    for setting in data_plane.settings() {
        let name = format!("KONG_{}", setting.key.to_uppercase());
        let value = match setting.value {
            SettingValue::Text(value) => value.to_owned(),
            SettingValue::Pem(file) => format!("{PLACE}/{}", file.name),
        };
        argument("--env", &format!("{name}={value}"));
    }
    for file in data_plane.files() {
        // The shell fills in where it stands: docker takes no relative paths.
        let place = format!(
            "{}/{}:{PLACE}/{}:ro",
            data_plane.container(),
            file.name,
            file.name
        );
        text += &format!(" \\\n  --volume \"$PWD\"/{}", word(&place));
    }
    text += match data_plane.endpoint.local {
        // The control plane listens on this machine's own address only.
        true => " \\\n  --network host",
        false => " \\\n  --publish 8000:8000 --publish 8443:8443 --publish 8100:8100",
    };
    text + &format!(" \\\n  {}\n", word(&format!("kong:{}", data_plane.image.tag)))
}

/// The folder keeps others out; the files themselves are read by another user, the container's.
fn files(data_plane: &DataPlane, folder: &str) -> String {
    let mut text = format!("set -eu\nmkdir -p {0} && chmod 0700 {0}\n", word(folder));
    for file in data_plane.files() {
        let path = word(&format!("{folder}/{}", file.name));
        text += &with_input(&format!("cat > {path}"), file.pem);
        text += &format!("chmod 0644 {path}\n");
    }
    text
}
