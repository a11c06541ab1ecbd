//! What Kong's default router flavor demands of a route beyond its fields (README §6.3): it turns the route into an
//! expression for `atc-router`, the very library that judges it here.
//!
//! An expression is valid if each of its predicates is, so they are judged one by one: a route with ten thousand header
//! values makes no deep tree. Methods, hosts, SNIs, ports and plain paths are texts and numbers whose predicates hold
//! for whatever their fields accept; they are left out.

use std::sync::LazyLock;

use atc_router::ast::Type;
use atc_router::parser::parse;
use atc_router::schema::Schema;
use atc_router::semantics::Validate as _;
use serde_json::{Map, Value};

use super::regular_expression::{Compiled, Size};

static FIELDS: LazyLock<Schema> = LazyLock::new(|| {
    let mut schema = Schema::default();
    schema.add_field("http.path", Type::String);
    schema.add_field("http.headers.*", Type::String);
    schema.add_field("net.src.ip", Type::IpAddr);
    schema.add_field("net.dst.ip", Type::IpAddr);
    schema
});

/// Refuses what would make the route's expression invalid.
pub(super) fn validates(route: &Map<String, Value>) -> Result<(), String> {
    addresses(route, "sources", "net.src.ip")?;
    addresses(route, "destinations", "net.dst.ip")?;
    let mut compiled = Compiled::default();
    paths(route, &mut compiled)?;
    headers(route, &mut compiled)
}

fn addresses(route: &Map<String, Value>, field: &str, name: &str) -> Result<(), String> {
    for address in listed(route.get(field)).filter_map(|item| item.get("ip")?.as_str()) {
        match address.split_once('/') {
            None => check(&format!("{name} == {address}"))?,
            Some((start, length)) => check(&format!("{name} in {}/{length}", network(start, length)))?,
        }
    }
    Ok(())
}

/// An IPv4 range begins at its network's address; shifting by 32 is shifting by nothing, as in LuaJIT.
fn network(start: &str, length: &str) -> String {
    match (start.parse::<std::net::Ipv4Addr>(), length.parse::<u32>()) {
        (Ok(address), Ok(length)) => {
            let shift = 32u32.saturating_sub(length) % 32;
            std::net::Ipv4Addr::from(address.to_bits() >> shift << shift).to_string()
        }
        _ => start.to_owned(),
    }
}

fn paths(route: &Map<String, Value>, compiled: &mut Compiled) -> Result<(), String> {
    for expression in listed(route.get("paths")).filter_map(|path| path.as_str()?.strip_prefix('~')) {
        let anchored = format!("^{}", expression.replace("?<", "?P<"));
        matching("http.path", &anchored, compiled)?;
    }
    Ok(())
}

fn headers(route: &Map<String, Value>, compiled: &mut Compiled) -> Result<(), String> {
    let headers = route.get("headers").and_then(Value::as_object);
    for (name, values) in headers.into_iter().flatten() {
        if listed(Some(values)).next().is_none() {
            check("()")?;
        }
        let name = name.to_ascii_lowercase().replace('-', "_");
        for expression in listed(Some(values)).filter_map(|value| value.as_str()?.strip_prefix("~*")) {
            let field = format!("any(lower(http.headers.{name}))");
            matching(&field, &expression.to_ascii_lowercase(), compiled)?;
        }
    }
    Ok(())
}

fn listed(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

/// A raw string where that is possible, as Kong writes it.
fn quoted(text: &str) -> String {
    if text.contains(['"', '#']) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("r#\"{text}\"#")
    }
}

/// A predicate over a regular expression. Where the expression is sound and small, any other says whether the rest is right.
fn matching(field: &str, expression: &str, compiled: &mut Compiled) -> Result<(), String> {
    match compiled.judge(expression)? {
        Size::Small => check(&format!("{field} ~ \"a\"")),
        Size::Unknown => check(&format!("{field} ~ {}", quoted(expression))),
    }
}

fn check(predicate: &str) -> Result<(), String> {
    let refused = |reason: String| format!("Router Expression failed validation: {reason}");
    parse(predicate)
        .map_err(|error| refused(error.to_string()))?
        .validate(&FIELDS)
        .map_err(refused)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(route: &Value) -> Result<(), String> {
        validates(route.as_object().unwrap())
    }

    #[test]
    fn what_the_router_compiles_is_accepted() {
        for route in [
            json!({"paths": ["/a", "~/(?<id>\\d+)$", "~/\"#\\\\", "/\"#"], "headers": {"X-a": ["1", "~*^A+$"]}}),
            json!({"paths": null, "headers": null, "sources": null}),
            json!({"sources": [{"ip": "10.1.2.3/8"}, {"ip": "::1", "port": 5}, {"port": 1}]}),
            json!({"destinations": [{"ip": "fd00::/64"}, {"ip": "1.2.3.4"}]}),
        ] {
            assert_eq!(check(&route), Ok(()), "{route}");
        }
    }

    #[test]
    fn what_it_would_not_load_is_refused() {
        for route in [
            json!({"paths": ["~/a(?=b)"]}),
            json!({"headers": {"x": ["~*("]}}),
            json!({"headers": {"x": []}}),
            json!({"headers": {"x": ["~*(?P<name>a)"]}}),
            json!({"sources": [{"ip": "fd00::1/64"}]}),
            json!({"sources": [{"ip": "::ffff:1.2.3.4"}]}),
            json!({"destinations": [{"ip": "1.2.3.4/0"}]}),
        ] {
            assert!(
                check(&route)
                    .unwrap_err()
                    .starts_with("Router Expression failed validation: "),
                "{route}"
            );
        }
    }

    #[test]
    fn a_route_with_very_many_values_is_judged_all_the_same() {
        let values = vec!["~*^a+$"; 20_000];
        assert_eq!(check(&json!({"headers": {"x": values}})), Ok(()));
    }
}
