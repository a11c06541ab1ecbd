//! Each rendering is read back, by the shell itself where it is a script, and compared with the description.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::organization::CertificateContent;
use domain::{Secret, Timestamp};
use serde_json::Value;
use tempfile::TempDir;

use super::data_plane::SettingValue;
use super::{AgentInstance, DataPlane, Endpoint, KongImage, Platform, ProvisioningError};
use crate::certificate_issuing::issue;
use crate::compose::authority;

type Settings = BTreeMap<String, String>;

/// What a shell would make something of.
const GROUP: &str = "it's \"the\" $WEST `x` \\ #1";

fn data_plane(endpoint: &str, version: &str) -> DataPlane {
    let now = Timestamp(1_800_000_000_000);
    let authority = authority::create(now).unwrap();
    let issued = issue(&authority, GROUP, now, 30).unwrap();
    DataPlane {
        group: GROUP.to_owned(),
        endpoint: Endpoint::of(endpoint).unwrap(),
        certificate: issued.certificate,
        key: issued.key,
        authority: authority.certificate,
        image: KongImage::of(Some(version)).unwrap(),
    }
}

fn agent(endpoint: &str) -> AgentInstance {
    AgentInstance {
        group: GROUP.to_owned(),
        endpoint: Endpoint::of(endpoint).unwrap(),
        token: Secret::new("rmi_secret".to_owned()),
        authority: "the authority\n".to_owned(),
    }
}

fn public(version: &str) -> DataPlane {
    data_plane("wss://cp.example.com:8005", version)
}

fn rendered(data_plane: &DataPlane, platform: Platform) -> String {
    data_plane.render(platform).unwrap().unwrap()
}

/// Every setting with its value; certificates and the key as what they are.
fn described(data_plane: &DataPlane) -> Settings {
    let value = |value| match value {
        SettingValue::Text(text) => text.to_owned(),
        SettingValue::Pem(file) => file.pem.to_owned(),
    };
    let settings = data_plane.settings().into_iter();
    settings
        .map(|setting| (setting.key.to_owned(), value(setting.value)))
        .collect()
}

/// Runs a script in a folder of its own, with these functions instead of the programs it calls.
fn run(script: &str, instead: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ran = Command::new("sh")
        .arg("-c")
        .arg(format!("{instead}\n{script}"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        ran.status.success(),
        "{}\n{script}",
        String::from_utf8_lossy(&ran.stderr)
    );
    folder
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words that `docker` was called with.
fn docker_words(folder: &TempDir) -> Vec<String> {
    let words = read(&folder.path().join("words"));
    words.split_terminator('\0').map(str::to_owned).collect()
}

const DOCKER: &str = r#"docker() { for word; do printf '%s\0' "$word"; done > words; }"#;

/// The values after a flag.
fn after<'a>(words: &'a [String], flag: &str) -> Vec<&'a str> {
    let pairs = words.windows(2).filter(|pair| pair[0] == flag);
    pairs.map(|pair| pair[1].as_str()).collect()
}

fn environment(words: &[String]) -> Settings {
    let variable = |text: &str| {
        let (name, value) = text.split_once('=').unwrap();
        (
            name.strip_prefix("KONG_").unwrap().to_lowercase(),
            value.to_owned(),
        )
    };
    after(words, "--env").into_iter().map(variable).collect()
}

#[test]
fn docker_run_says_every_setting_and_mounts_the_certificates() {
    for version in ["2.8", "3.9"] {
        let data_plane = public(version);
        let folder = run(&rendered(&data_plane, Platform::Docker), DOCKER);
        let words = docker_words(&folder);
        let mounted: BTreeMap<_, _> = after(&words, "--volume")
            .into_iter()
            .map(|volume| {
                let [outside, inside, "ro"] = volume.split(':').collect::<Vec<_>>()[..] else {
                    panic!("{volume}");
                };
                assert!(
                    Path::new(outside).is_absolute(),
                    "docker takes no relative paths: {outside}"
                );
                (inside.to_owned(), read(Path::new(outside)))
            })
            .collect();
        let settings = environment(&words).into_iter().map(|(key, value)| {
            let value = mounted.get(&value).cloned().unwrap_or(value);
            (key, value)
        });
        assert_eq!(settings.collect::<Settings>(), described(&data_plane));
        assert_eq!(words.last().unwrap(), &format!("kong:{version}"));
        assert_eq!(
            after(&words, "--publish"),
            ["8000:8000", "8443:8443", "8100:8100"]
        );
        assert_eq!(after(&words, "--name"), ["kong-it-s--the---WEST--x-----1"]);
    }
}

/// Every program that a script calls, noting what it was called with.
const NOTED: &str = r#"
noted() { printf '%s\n' "$@" >> words; }
docker() { noted "$@"; }; kubectl() { cat > input; noted "$@"; }; helm() { cat > input; noted "$@"; }
cp() { noted "$@"; }; kong() { noted "$@"; }; systemctl() { noted "$@"; }; runtime_manager() { noted "$@"; }
mkdir() { noted "$@"; command mkdir "$@"; }; chmod() { noted "$@"; command chmod "$@"; }
install() { case $1 in -d) ;; *) cat > input;; esac; noted "$@"; }"#;

#[test]
fn no_secret_stands_on_a_command_line_of_any_platform() {
    let data_plane = public("3.9");
    let lines: Vec<_> = data_plane
        .key
        .expose()
        .lines()
        .filter(|line| line.len() > 30)
        .collect();
    assert!(!lines.is_empty());
    for platform in [Platform::Docker, Platform::Linux, Platform::Kubernetes] {
        let script = rendered(&data_plane, platform);
        assert!(
            lines.iter().all(|line| script.contains(line)),
            "the script has the key"
        );
        let words = read(&run(&script, NOTED).path().join("words"));
        assert!(!lines.iter().any(|line| words.contains(line)), "{words}");
    }
    let script = agent("wss://cp.example.com:8005").render();
    let script = script
        .replace(". /etc/runtime-manager/agent.env", "")
        .replace("exec runtime-manager", "runtime_manager");
    let words = read(&run(&script, NOTED).path().join("words"));
    assert!(
        words.contains("agent.env") && !words.contains("rmi_secret"),
        "{words}"
    );
}

#[test]
fn a_container_beside_its_control_plane_shares_its_network() {
    let data_plane = data_plane("wss://127.0.0.1:8005", "3.9");
    let words = docker_words(&run(&rendered(&data_plane, Platform::Docker), DOCKER));
    assert_eq!(after(&words, "--network"), ["host"]);
    assert!(after(&words, "--publish").is_empty());
    assert_eq!(environment(&words)["cluster_server_name"], "localhost");
}

/// Writes what would be installed below the folder, and its mode beside it.
const INSTALL: &str = r#"
install() {
    mode=; for word; do last=$word; case $word in 0*) mode=$word;; esac; done
    case $1 in -d) mkdir -p ".$last";; *) mkdir -p ".${last%/*}"; cat > ".$last"; printf %s "$mode" > ".$last.mode";; esac
}
cp() { :; }; kong() { :; }; systemctl() { :; }; runtime_manager() { :; }"#;

/// kong.conf as Kong reads it: what follows an unescaped # is a comment.
fn kong_conf(text: &str) -> Settings {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let setting = |line: &str| {
        let (key, value) = line.split_once('=').unwrap();
        assert!(!value.replace(r"\#", "").contains('#'), "{line}");
        (key.trim().to_owned(), value.trim().replace(r"\#", "#"))
    };
    lines.map(setting).collect()
}

#[test]
fn the_script_for_linux_writes_files_that_say_every_setting() {
    for version in ["2.8", "3.9"] {
        let data_plane = public(version);
        let folder = run(&rendered(&data_plane, Platform::Linux), INSTALL);
        let at = |path: &str| folder.path().join(path.trim_start_matches('/'));
        let settings = kong_conf(&read(&at("/etc/kong/kong.conf")))
            .into_iter()
            .map(|(key, value)| {
                let value = match value.starts_with("/etc/") {
                    true => read(&at(&value)),
                    false => value,
                };
                (key, value)
            });
        assert_eq!(settings.collect::<Settings>(), described(&data_plane));
        assert_eq!(read(&at("/etc/kong/cluster/tls.key.mode")), "0640");
    }
}

#[test]
fn a_kong_conf_holds_its_certificates_and_is_not_for_a_kong_that_reads_files_only() {
    let data_plane = public("3.4.2");
    let settings = kong_conf(&rendered(&data_plane, Platform::KongConf))
        .into_iter()
        .map(|(key, value)| {
            let inside = ["cluster_cert", "cluster_cert_key", "cluster_ca_cert"].contains(&key.as_str());
            let value = match inside {
                true => String::from_utf8(STANDARD.decode(value).unwrap()).unwrap(),
                false => value,
            };
            (key, value)
        });
    assert_eq!(settings.collect::<Settings>(), described(&data_plane));
    for version in ["2.8", "3.0"] {
        let refused = public(version).render(Platform::KongConf).unwrap().unwrap_err();
        assert!(matches!(refused, ProvisioningError::NeedsFiles { .. }));
    }
}

const KUBERNETES: &str = "kubectl() { cat > manifest; }; helm() { case $1 in upgrade) cat > values;; esac; }";

#[test]
fn the_script_for_kubernetes_makes_a_secret_and_values_that_say_every_setting() {
    let data_plane = public("3.9");
    let folder = run(&rendered(&data_plane, Platform::Kubernetes), KUBERNETES);
    let manifest = read(&folder.path().join("manifest"));
    let secret: Value = serde_saphyr::from_str(manifest.split("\n---\n").nth(1).unwrap()).unwrap();
    let values: Value = serde_saphyr::from_str(&read(&folder.path().join("values"))).unwrap();
    assert_eq!(
        values["image"],
        serde_json::json!({ "repository": "kong", "tag": "3.9" })
    );
    assert_eq!(values["secretVolumes"][0], secret["metadata"]["name"]);
    let mount = format!("/etc/secrets/{}/", secret["metadata"]["name"].as_str().unwrap());
    let environment = values["env"].as_object().unwrap().iter().map(|(key, value)| {
        let value = value
            .as_str()
            .unwrap_or_else(|| panic!("{key} is no text: {value}"));
        let value = match value.strip_prefix(&mount) {
            Some(file) => secret["stringData"][file].as_str().unwrap(),
            None => value,
        };
        (key.clone(), value.to_owned())
    });
    let mut expected = described(&data_plane);
    expected.retain(|key, _| !key.ends_with("_listen"));
    assert_eq!(environment.collect::<Settings>(), expected);
}

#[test]
fn what_a_new_kong_is_given_is_a_pair_and_the_authority_that_its_control_plane_chains_to() {
    let data_plane = public("3.9");
    let settings = described(&data_plane);
    let read = |key: &str| CertificateContent::of_pem(&settings[key]).unwrap();
    assert!(!read("cluster_cert").is_ca && read("cluster_ca_cert").is_ca);
    assert!(settings["cluster_cert_key"].contains("BEGIN PRIVATE KEY"));
    assert_eq!(settings["cluster_mtls"], "pki");
    assert_eq!(settings["cluster_control_plane"], "cp.example.com:8005");
    assert_eq!(settings["cluster_server_name"], "cp.example.com");
}

#[test]
fn the_script_for_an_agent_writes_its_environment_and_starts_it() {
    for (endpoint, connect) in [
        ("wss://cp.example.com:8005", "cp.example.com:8005"),
        ("ws://127.0.0.1:8005", "ws://127.0.0.1:8005"),
    ] {
        let agent = agent(endpoint);
        // The script reads its environment from where it was installed, which is below the folder here.
        let script = agent
            .render()
            .replace(". /etc/", ". ./etc/")
            .replace("exec runtime-manager", "runtime_manager");
        let said = r#"runtime_manager() { printf '%s\n' "$@" "$RUNTIME_MANAGER_CONNECT" "$RUNTIME_MANAGER_TOKEN" > said; }"#;
        let folder = run(&script, &format!("{INSTALL}\n{said}"));
        let said = read(&folder.path().join("said"));
        let said: Vec<_> = said.lines().collect();
        assert_eq!(&said[..3], ["agent", "--group", GROUP]);
        assert_eq!(&said[said.len() - 2..], [connect, "rmi_secret"]);
        let authority = folder.path().join("etc/runtime-manager/ca.crt");
        assert_eq!(authority.exists(), endpoint.starts_with("wss"));
        assert_eq!(
            read(&folder.path().join("etc/runtime-manager/agent.env.mode")),
            "0600"
        );
    }
}

#[test]
fn only_versions_that_can_connect_are_offered() {
    assert_eq!(KongImage::of(None).unwrap().tag, "3.9");
    assert!(!KongImage::of(Some("3.0.2")).unwrap().inline_certificates);
    assert!(KongImage::of(Some("3.1")).unwrap().inline_certificates);
    for wrong in ["", "3", "2.7", "4.0", "3.9-alpine", "3.9; rm", "latest", "3..9"] {
        assert!(
            matches!(KongImage::of(Some(wrong)), Err(ProvisioningError::Version(_))),
            "{wrong}"
        );
    }
}
