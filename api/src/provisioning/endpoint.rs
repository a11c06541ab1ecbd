//! Where instances connect, taken from the group's `control_plane_endpoint`.

use std::net::IpAddr;

use super::ProvisioningError;

/// The listener for instances as they reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`.
    pub address: String,
    /// The name that the listener's certificate is checked for.
    pub server_name: String,
    /// Whether it has TLS: without, Kong can't connect, only our agent.
    pub tls: bool,
    /// Whether only this machine reaches it.
    pub local: bool,
}

impl Endpoint {
    /// Reads `wss://host:port`; refuses what nobody can connect to.
    pub fn of(control_plane_endpoint: &str) -> Result<Self, ProvisioningError> {
        let (scheme, address) = control_plane_endpoint
            .split_once("://")
            .ok_or_else(|| unusable(control_plane_endpoint))?;
        let (host, _) = address.rsplit_once(':').ok_or_else(|| unusable(address))?;
        // Kong takes the host up to the first colon.
        if host.is_empty() || host.contains(':') {
            return Err(unusable(address));
        }
        let ip = host.parse::<IpAddr>().ok();
        if ip.is_some_and(|ip| ip.is_unspecified()) {
            return Err(unusable(address));
        }
        Ok(Self {
            address: address.to_owned(),
            // A name that is an address is no name to Kong; the listener's certificate is for this one too.
            server_name: ip.map_or_else(|| host.to_owned(), |_| "localhost".to_owned()),
            tls: scheme != "ws",
            local: host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()),
        })
    }
}

fn unusable(address: &str) -> ProvisioningError {
    ProvisioningError::Endpoint(format!(
        "instances can't be told to connect to '{address}': start the server with --dataplane-name and the name or IPv4 address by which they reach it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_checked_for_itself_and_an_address_for_the_certificates_local_name() {
        let named = Endpoint::of("wss://cp.example.com:8005").unwrap();
        assert_eq!(named.address, "cp.example.com:8005");
        assert_eq!(
            (named.server_name.as_str(), named.tls, named.local),
            ("cp.example.com", true, false)
        );
        let local = Endpoint::of("ws://127.0.0.1:8005").unwrap();
        assert_eq!(
            (local.server_name.as_str(), local.tls, local.local),
            ("localhost", false, true)
        );
    }

    #[test]
    fn what_nobody_can_connect_to_is_refused_with_how_to_mend_it() {
        for wrong in [
            "",
            "wss://0.0.0.0:8005",
            "wss://[::1]:8005",
            "wss://[::]:8005",
            "cp:8005",
        ] {
            let refusal = Endpoint::of(wrong).unwrap_err().to_string();
            assert!(refusal.contains("--dataplane-name"), "{refusal}");
        }
    }
}
