//! Our own agent: a script that writes the file with its environment, and how it is started.

use domain::Secret;

use super::Endpoint;
use super::shell::{comment, with_input, word};

const PLACE: &str = "/etc/runtime-manager";

/// An agent to be.
#[derive(Clone, Debug)]
pub struct AgentInstance {
    /// Its runtime group's name.
    pub group: String,
    /// Where it connects.
    pub endpoint: Endpoint,
    /// Its instance token.
    pub token: Secret,
    /// The CA that the listener's certificate chains to, PEM.
    pub authority: String,
}

impl AgentInstance {
    /// Its environment, in order.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let address = &self.endpoint.address;
        let mut environment = vec![("RUNTIME_MANAGER_TOKEN", self.token.expose().to_owned())];
        if self.endpoint.tls {
            environment.push(("RUNTIME_MANAGER_CONNECT", address.clone()));
            environment.push(("RUNTIME_MANAGER_CA", format!("{PLACE}/ca.crt")));
        } else {
            environment.push(("RUNTIME_MANAGER_CONNECT", format!("ws://{address}")));
        }
        environment
    }

    /// The script.
    pub fn render(&self) -> String {
        let mut text = "#!/bin/sh\n".to_owned();
        text += &comment(&format!(
            "An agent of the runtime group {}: it feeds a Kong without a database. Run it as root.",
            self.group
        ));
        text += &comment("This text holds its instance token: keep it as you keep passwords.");
        text += "set -eu\n";
        text += &format!("install -d -m 0755 {PLACE}\n");
        if self.endpoint.tls {
            let command = format!("install -m 0644 /dev/stdin {PLACE}/ca.crt");
            text += &with_input(&command, &self.authority);
        }
        let environment: String = self
            .environment()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        let command = format!("install -m 0600 /dev/stdin {PLACE}/agent.env");
        text += &with_input(&command, &environment);
        text += &format!("set -a\n. {PLACE}/agent.env\nset +a\n");
        text += &format!(
            "exec runtime-manager agent --group {} --state-dir /var/lib/runtime-manager-agent --write /etc/kong/kong.yml\n",
            word(&self.group)
        );
        text
    }
}
