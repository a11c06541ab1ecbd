//! Kong's Helm chart: a script that makes the secret and installs the chart with its values.

use std::fmt::Write as _;

use super::data_plane::{DataPlane, SettingValue};
use super::shell::{comment, with_input, word};

/// The secret with the certificates.
const SECRET: &str = "kong-cluster-cert";
/// Where the chart mounts it.
const PLACE: &str = "/etc/secrets/kong-cluster-cert";
const NAMESPACE: &str = "kong";

pub(super) fn render(data_plane: &DataPlane) -> String {
    let mut text = "#!/bin/sh\n".to_owned();
    text += &comment(&format!(
        "A Kong data plane of the runtime group {}, by Kong's Helm chart in the namespace {NAMESPACE}.",
        data_plane.group
    ));
    text += &comment("This text holds its private key: keep it as you keep passwords.");
    text += "set -eu\n";
    text += &with_input("kubectl apply --filename -", &manifest(data_plane));
    text += "helm repo add kong https://charts.konghq.com\n";
    let release = word(&release(data_plane));
    let install = format!("helm upgrade --install {release} kong/kong --namespace {NAMESPACE} --values -");
    text + &with_input(&install, &values(data_plane))
}

/// A name of lower-case letters, digits and hyphens, at most 53, as Helm wants it.
fn release(data_plane: &DataPlane) -> String {
    let name = data_plane.container().to_lowercase().replace(['_', '.'], "-");
    let name: String = name.chars().take(53).collect();
    name.trim_end_matches('-').to_owned()
}

fn manifest(data_plane: &DataPlane) -> String {
    let mut text = format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {SECRET}\n  namespace: {NAMESPACE}\ntype: kubernetes.io/tls\nstringData:\n"
    );
    for file in data_plane.files() {
        let _ = writeln!(text, "  {}: |", file.name);
        for line in file.pem.lines() {
            let _ = writeln!(text, "    {line}");
        }
    }
    text
}

fn values(data_plane: &DataPlane) -> String {
    let mut text = format!(
        "image:\n  repository: kong\n  tag: {}\nsecretVolumes:\n  - {SECRET}\nadmin:\n  enabled: false\ningressController:\n  enabled: false\n  installCRDs: false\nenv:\n",
        scalar(&data_plane.image.tag)
    );
    // Where Kong listens is the chart's own matter.
    let settings = data_plane.settings().into_iter();
    for setting in settings.filter(|setting| !setting.key.ends_with("_listen")) {
        let value = match setting.value {
            SettingValue::Text(value) => scalar(value),
            SettingValue::Pem(file) => scalar(&format!("{PLACE}/{}", file.name)),
        };
        let _ = writeln!(text, "  {}: {value}", setting.key);
    }
    text
}

/// A text in YAML: its JSON, or `off` and `3.10` would be something else.
fn scalar(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
