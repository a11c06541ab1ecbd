//! IP addresses and ranges, as `inet_pton` reads them (README §6.2).

use std::net::{IpAddr, Ipv6Addr};

/// A literal IPv4 or IPv6 address; IPv6 may stand in brackets.
pub(super) fn address(text: &str) -> Result<(), String> {
    parse(text)
        .map(drop)
        .ok_or_else(|| format!("not an ip address: {text}"))
}

/// An address, or an address and a prefix length without leading zeros or sign.
pub(super) fn address_or_range(text: &str) -> Result<(), String> {
    let known = match text.split_once('/') {
        None => parse(text).is_some(),
        Some((start, prefix)) => parse(start).is_some_and(|address| {
            let most = if address.is_ipv4() { 32 } else { 128 };
            prefix
                .parse::<u8>()
                .is_ok_and(|length| length <= most && length.to_string() == prefix)
        }),
    };
    if known {
        Ok(())
    } else {
        Err(format!("invalid ip or cidr range: '{text}'"))
    }
}

fn parse(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    match bracketed {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_literal() {
        for good in ["1.2.3.4", "::1", "[::1]", "::ffff:1.2.3.4"] {
            assert_eq!(address(good), Ok(()), "{good}");
        }
        for bad in ["01.2.3.4", "1.2.3", "a", "fe80::1%eth0", "[1.2.3.4]", "1.2.3.4/8"] {
            assert_eq!(address(bad), Err(format!("not an ip address: {bad}")), "{bad}");
        }
    }

    #[test]
    fn a_range_has_a_plain_prefix_length_and_may_have_host_bits() {
        for good in ["1.2.3.4/0", "1.2.3.4/32", "::/128", "1.2.3.4"] {
            assert_eq!(address_or_range(good), Ok(()), "{good}");
        }
        for bad in [
            "1.2.3.4/024",
            "1.2.3.4/33",
            "::/129",
            "1.2.3.4/+1",
            "1.2.3.4/",
            "/8",
        ] {
            assert_eq!(
                address_or_range(bad),
                Err(format!("invalid ip or cidr range: '{bad}'")),
                "{bad}"
            );
        }
    }
}
