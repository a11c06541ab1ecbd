//! URLs as LuaSocket splits them, and a service's `url` (README §5.3, §6.2).

use serde_json::Value;

/// The parts of a URL that anything here needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) scheme: Option<&'a str>,
    pub(super) user_info: Option<&'a str>,
    pub(super) host: Option<&'a str>,
    pub(super) port: Option<&'a str>,
    pub(super) path: Option<&'a str>,
}

/// Must have a host and a scheme; nothing else is checked.
pub(super) fn absolute(text: &str) -> Result<(), String> {
    let url = parse(text);
    match (url.host, url.scheme) {
        (None, _) => Err("missing host in url".to_owned()),
        (_, None) => Err("missing scheme in url".to_owned()),
        _ => Ok(()),
    }
}

/// Splits in LuaSocket's order: fragment, scheme, authority, query, parameters, path.
pub(super) fn parse(text: &str) -> Url<'_> {
    let mut rest = text.split('#').next().unwrap_or_default();
    let mut url = Url::default();
    if let Some((scheme, after)) = rest.split_once(':')
        && is_scheme(scheme)
    {
        url.scheme = Some(scheme);
        rest = after;
    }
    if let Some(after) = rest.strip_prefix("//") {
        let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
        split_authority(authority, &mut url);
        rest = path;
    }
    let path = rest
        .split('?')
        .next()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    url.path = Some(path).filter(|path| !path.is_empty());
    url
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
}

fn split_authority<'a>(authority: &'a str, url: &mut Url<'a>) {
    let mut host = authority;
    if let Some((user_info, after)) = host.split_once('@') {
        url.user_info = Some(user_info);
        host = after;
    }
    if let Some((before, port)) = host.rsplit_once(':')
        && !port.contains(']')
    {
        url.port = Some(port);
        host = before;
    }
    let inner = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    host = inner.filter(|inner| !inner.is_empty()).unwrap_or(host);
    url.host = Some(host).filter(|host| !host.is_empty());
}

/// What a service's `url` stands for; all four are set together.
pub(super) fn service_fields(value: &Value) -> Vec<(&'static str, Value)> {
    // Kong reads a null as the text of its null value, and so refuses it field by field.
    let url = parse(value.as_str().unwrap_or("userdata: NULL"));
    let number = url.port.and_then(|port| port.parse::<u32>().ok());
    let protocol = url
        .scheme
        .unwrap_or(if number == Some(443) { "https" } else { "http" });
    let port = match (number, url.port) {
        (Some(number), _) => Value::from(number),
        (None, Some(text)) => Value::from(text),
        (None, None) => Value::from(if protocol == "https" { 443 } else { 80 }),
    };
    let text = |part: Option<&str>| part.map_or(Value::Null, Value::from);
    vec![
        ("protocol", protocol.into()),
        ("host", text(url.host)),
        ("port", port),
        ("path", text(url.path)),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_url_is_split_like_luasocket_does() {
        let url = parse("http://u:p@h:99/x;p?q#f");
        let expected = Url {
            scheme: Some("http"),
            user_info: Some("u:p"),
            host: Some("h"),
            port: Some("99"),
            path: Some("/x"),
        };
        assert_eq!(url, expected);
        assert_eq!(parse("http://[::1]:80/").host, Some("::1"));
        assert_eq!(parse("http://[::1]").port, None);
        assert_eq!(parse("h:443").scheme, Some("h"));
        assert_eq!(parse("http://a?b/c").host, Some("a?b"));
    }

    #[test]
    fn a_url_needs_a_host_and_then_a_scheme() {
        for good in ["1http://a", "http://a b"] {
            assert_eq!(absolute(good), Ok(()), "{good}");
        }
        assert_eq!(absolute("a"), Err("missing host in url".to_owned()));
        assert_eq!(absolute("//a"), Err("missing scheme in url".to_owned()));
    }

    #[test]
    fn a_service_url_sets_four_fields() {
        for (url, protocol, host, port, path) in [
            ("https://h", "https", json!("h"), json!(443), json!(null)),
            ("tcp://h:9000", "tcp", json!("h"), json!(9000), json!(null)),
            ("grpc://h", "grpc", json!("h"), json!(80), json!(null)),
            ("//h:443/", "https", json!("h"), json!(443), json!("/")),
            ("http://h:x/", "http", json!("h"), json!("x"), json!("/")),
        ] {
            let expected = vec![
                ("protocol", json!(protocol)),
                ("host", host),
                ("port", port),
                ("path", path),
            ];
            assert_eq!(service_fields(&json!(url)), expected, "{url}");
        }
    }
}
