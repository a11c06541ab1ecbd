//! Where a request comes from when proxies stand in front: each notes whom it took the request from, behind what the request said
//! already. Only the notes of our own proxies count, so these are read from the end.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::FORWARDED;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use crate::config::{Forwarding, ProxyHeader};

impl Forwarding {
    /// The address a request came from, if it came over a network: the one that the first of our proxies took it from. Where the proxies
    /// noted none, the address that this process took it from.
    pub(crate) fn source(self, parts: &Parts) -> Option<IpAddr> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(address)| address.ip().to_canonical())?;
        Some(self.noted(&parts.headers).unwrap_or(peer))
    }

    fn noted(self, headers: &HeaderMap) -> Option<IpAddr> {
        let last = usize::from(self.hops).checked_sub(1)?;
        let name = match self.header {
            ProxyHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            ProxyHeader::Forwarded => FORWARDED,
        };
        let lines = headers
            .get_all(name)
            .iter()
            .map(|line| line.to_str().unwrap_or_default());
        let notes: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
        let note = notes.iter().rev().nth(last)?.trim();
        match self.header {
            ProxyHeader::XForwardedFor => address(note),
            ProxyHeader::Forwarded => {
                let mut pairs = note.split(';').filter_map(|pair| pair.split_once('='));
                let (_, node) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
                address(node.trim().trim_matches('"'))
            }
        }
    }
}

/// An address with or without a port, and with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let found = text.parse().ok().or_else(bare).or_else(with_port)?;
    Some(IpAddr::to_canonical(&found))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn source(forwarding: Forwarding, headers: &[(&str, &str)]) -> String {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let peer: SocketAddr = "10.0.0.1:4711".parse().unwrap();
        parts.extensions.insert(ConnectInfo(peer));
        forwarding.source(&parts).unwrap().to_string()
    }

    fn behind(hops: u8) -> Forwarding {
        Forwarding {
            hops,
            ..Forwarding::default()
        }
    }

    const XFF: &str = "x-forwarded-for";

    #[test]
    fn only_what_our_own_proxies_noted_counts() {
        let pretended = [(XFF, "203.0.113.9, 192.0.2.1")];
        assert_eq!(source(behind(0), &pretended), "10.0.0.1");
        assert_eq!(source(behind(1), &pretended), "192.0.2.1");
        assert_eq!(source(behind(2), &pretended), "203.0.113.9");
        let in_lines = [(XFF, "203.0.113.9"), (XFF, "192.0.2.1,198.51.100.7")];
        assert_eq!(source(behind(2), &in_lines), "192.0.2.1");
    }

    #[test]
    fn without_a_note_it_is_the_one_who_connected() {
        assert_eq!(source(behind(1), &[]), "10.0.0.1");
        assert_eq!(source(behind(3), &[(XFF, "192.0.2.1")]), "10.0.0.1");
        assert_eq!(source(behind(1), &[(XFF, "unknown")]), "10.0.0.1");
        assert_eq!(source(behind(1), &[("forwarded", "for=192.0.2.1")]), "10.0.0.1");
    }

    #[test]
    fn notes_have_ports_brackets_and_another_header() {
        assert_eq!(source(behind(1), &[(XFF, "192.0.2.1:80")]), "192.0.2.1");
        assert_eq!(source(behind(1), &[(XFF, "[2001:db8::1]:80")]), "2001:db8::1");
        let forwarded = Forwarding {
            hops: 1,
            header: ProxyHeader::Forwarded,
        };
        for (note, read) in [
            ("for=203.0.113.9, for=192.0.2.1;proto=https", "192.0.2.1"),
            ("proto=https;For=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("for=_hidden", "10.0.0.1"),
        ] {
            assert_eq!(
                source(forwarded, &[("forwarded", note), (XFF, "203.0.113.9")]),
                read,
                "{note}"
            );
        }
    }
}
