//! Host names and addresses with optional ports, as Kong reads them (README §6.2).

/// What an address turned out to be.
#[derive(Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    /// Without leading zeros.
    Ipv4(String),
    /// All eight groups, four lower-case digits each.
    Ipv6(String),
}

#[derive(Debug, PartialEq, Eq)]
struct Address {
    host: Host,
    port: Option<u16>,
}

const INVALID_PORT: &str = "invalid port number";
const DEFAULT_TARGET_PORT: u16 = 8000;

/// A host without a port.
pub(super) fn host(text: &str) -> Result<(), String> {
    portless(text).map(drop)
}

/// A host that may have a port.
pub(super) fn host_with_optional_port(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

/// A host name: no address, no port.
pub(super) fn sni(text: &str) -> Result<(), String> {
    match parse(text) {
        Err(error) if error != INVALID_PORT => Err(format!("invalid value: {text}")),
        Ok(Address {
            host: Host::Ipv4(_) | Host::Ipv6(_),
            ..
        }) => Err("must not be an IP".to_owned()),
        Err(_) | Ok(Address { port: Some(_), .. }) => Err("must not have a port".to_owned()),
        Ok(_) => Ok(()),
    }
}

/// A host name that may begin or end with one `*`.
pub(super) fn wildcard_host(text: &str) -> Result<(), String> {
    match text.matches('*').count() {
        0 => sni(text),
        1 if text.starts_with('*') || text.ends_with('*') => sni(&text.replace('*', "wildcard")),
        1 => Err("wildcard must be leftmost or rightmost character".to_owned()),
        _ => Err("only one wildcard must be specified".to_owned()),
    }
}

/// A route's host; where its `*` may stand is in the schema file.
pub(super) fn route_host(text: &str) -> Result<(), String> {
    host_with_optional_port(&text.replace('*', "abc"))
}

/// An upstream's name: a host name without a port.
pub(super) fn upstream_name(text: &str) -> Result<(), String> {
    let reason = match parse(text) {
        Ok(Address {
            host: Host::Ipv4(_) | Host::Ipv6(_),
            ..
        }) => "no ip addresses allowed",
        Ok(Address { port: Some(_), .. }) => "no port allowed",
        Ok(_) => return Ok(()),
        Err(_) => "must be a valid hostname",
    };
    Err(format!("Invalid name ('{text}'); {reason}"))
}

/// A target's address.
pub(super) fn target(text: &str) -> Result<(), String> {
    parse(text)
        .map(drop)
        .map_err(|_| "Invalid target; not a valid hostname or ip address".to_owned())
}

/// A target's address with its port, in the form Kong stores and shows (README §7, "targets").
pub(super) fn normal_target(text: &str) -> Option<String> {
    let address = parse(text).ok()?;
    let port = address.port.unwrap_or(DEFAULT_TARGET_PORT);
    Some(match address.host {
        Host::Name(host) | Host::Ipv4(host) => format!("{host}:{port}"),
        Host::Ipv6(host) => format!("[{host}]:{port}"),
    })
}

fn portless(text: &str) -> Result<Address, String> {
    match parse(text) {
        Err(error) if error != INVALID_PORT => Err(format!("invalid value: {text}")),
        Err(_) | Ok(Address { port: Some(_), .. }) => Err("must not have a port".to_owned()),
        Ok(address) => Ok(address),
    }
}

fn parse(text: &str) -> Result<Address, String> {
    let colons = text.bytes().filter(|byte| *byte == b':').count();
    let numeric = |byte: u8| byte.is_ascii_digit() || byte == b'.' || byte == b':';
    if colons > 1 {
        ipv6(text)
    } else if text.bytes().all(numeric) && text.bytes().any(|byte| byte != b':') {
        ipv4(text)
    } else {
        name(text)
    }
}

fn ipv4(text: &str) -> Result<Address, String> {
    let invalid = || format!("invalid ipv4 address: {text}");
    let (groups, port) = match text.split_once(':') {
        Some((groups, port)) => (groups, Some(port)),
        None => (text, None),
    };
    let numbers: Vec<u8> = groups
        .split('.')
        .filter(|group| (1..=3).contains(&group.len()))
        .filter_map(|group| group.parse().ok())
        .collect();
    let [a, b, c, d] = numbers[..] else {
        return Err(invalid());
    };
    if groups.split('.').count() != 4 || port == Some("") {
        return Err(invalid());
    }
    let port = port.map(port_number).transpose()?;
    Ok(Address {
        host: Host::Ipv4(format!("{a}.{b}.{c}.{d}")),
        port,
    })
}

fn ipv6(text: &str) -> Result<Address, String> {
    let invalid = || format!("invalid ipv6 address: {text}");
    let (groups, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (inner, after) = bracketed.split_once(']').ok_or_else(invalid)?;
            let port = match after.strip_prefix(':') {
                Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    Some(port_number(digits)?)
                }
                None if after.is_empty() => None,
                _ => return Err(invalid()),
            };
            (inner, port)
        }
        None => (text, None),
    };
    let host = expanded(groups).ok_or_else(invalid)?;
    Ok(Address {
        host: Host::Ipv6(host),
        port,
    })
}

/// Eight groups of one to four hexadecimal digits, one `::` standing for the missing ones.
fn expanded(groups: &str) -> Option<String> {
    let halves: Vec<Vec<&str>> = groups
        .split("::")
        .map(|half| {
            if half.is_empty() {
                Vec::new()
            } else {
                half.split(':').collect()
            }
        })
        .collect();
    let all = match &halves[..] {
        [whole] => whole.clone(),
        [left, right] => {
            let missing = 8usize
                .checked_sub(left.len() + right.len())
                .filter(|missing| *missing > 0)?;
            [&left[..], &vec!["0"; missing], &right[..]].concat()
        }
        _ => return None,
    };
    let valid =
        |group: &&str| (1..=4).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit());
    if all.len() != 8 || !all.iter().all(valid) {
        return None;
    }
    let padded: Vec<_> = all
        .iter()
        .map(|group| format!("{:0>4}", group.to_ascii_lowercase()))
        .collect();
    Some(padded.join(":"))
}

fn name(text: &str) -> Result<Address, String> {
    let invalid = || format!("invalid hostname: {text}");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host, Some(port_number(digits)?))
        }
        _ => (text, None),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let segments = host.strip_suffix('.').unwrap_or(host).split('.');
    let sound = |segment: &str| !segment.is_empty() && !segment.ends_with('-');
    if !host.bytes().all(allowed) || !segments.into_iter().all(sound) {
        return Err(invalid());
    }
    Ok(Address {
        host: Host::Name(host.to_owned()),
        port,
    })
}

fn port_number(digits: &str) -> Result<u16, String> {
    digits.parse().map_err(|_| INVALID_PORT.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_without_a_port() {
        for good in [
            "a_b", "-a.com", "a.com.", "01.2.3.4", "[::1]", "::1", "1::", "A.com",
        ] {
            assert_eq!(host(good), Ok(()), "{good}");
        }
        for bad in [
            "a-.com",
            "a..b",
            "1.2.3",
            "12345",
            "*.com",
            "é.com",
            "",
            "1.2.3.256",
            "1.2.3.4.5",
            ":",
        ] {
            assert_eq!(host(bad), Err(format!("invalid value: {bad}")), "{bad}");
        }
        for ported in ["a:80", "1.2.3.4:80", "[::1]:80", "a:99999"] {
            assert_eq!(host(ported), Err("must not have a port".to_owned()), "{ported}");
        }
        assert!(host("[::1]:").is_err());
    }

    #[test]
    fn a_port_is_accepted_where_it_is_optional() {
        for good in ["a", "a:80", "1.2.3.4:0", "[::1]:65535", "::1:80"] {
            assert_eq!(host_with_optional_port(good), Ok(()), "{good}");
        }
        assert_eq!(
            host_with_optional_port("a:65536"),
            Err("invalid port number".to_owned())
        );
        assert_eq!(
            host_with_optional_port("a b"),
            Err("invalid hostname: a b".to_owned())
        );
    }

    #[test]
    fn an_sni_is_a_name_with_at_most_one_wildcard_at_an_end() {
        for good in ["*", "*a.com", "a.*", "1.2.3.*", "a.com"] {
            assert_eq!(wildcard_host(good), Ok(()), "{good}");
        }
        assert_eq!(sni("1.2.3.4"), Err("must not be an IP".to_owned()));
        assert_eq!(sni("a:1"), Err("must not have a port".to_owned()));
        assert_eq!(
            wildcard_host("*.*"),
            Err("only one wildcard must be specified".to_owned())
        );
        assert_eq!(
            wildcard_host("a*b"),
            Err("wildcard must be leftmost or rightmost character".to_owned())
        );
    }

    #[test]
    fn a_target_gets_its_default_port_and_one_spelling() {
        for (given, stored) in [
            ("a.com", "a.com:8000"),
            ("A.com.", "A.com.:8000"),
            ("01.02.3.4", "1.2.3.4:8000"),
            ("1.2.3.4:0", "1.2.3.4:0"),
            ("[::1]:8080", "[0000:0000:0000:0000:0000:0000:0000:0001]:8080"),
            ("ABCD::", "[abcd:0000:0000:0000:0000:0000:0000:0000]:8000"),
        ] {
            let normal = normal_target(given);
            assert_eq!(normal.as_deref(), Some(stored), "{given}");
            assert_eq!(normal_target(stored), normal, "a stored address stays as it is");
        }
        assert_eq!(normal_target("a b"), None);
    }

    #[test]
    fn an_upstream_is_named_like_a_host() {
        assert_eq!(upstream_name("a.b"), Ok(()));
        assert_eq!(
            upstream_name("::1"),
            Err("Invalid name ('::1'); no ip addresses allowed".to_owned())
        );
        assert_eq!(
            upstream_name("a b"),
            Err("Invalid name ('a b'); must be a valid hostname".to_owned())
        );
    }
}
