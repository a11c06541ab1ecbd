//! Whether an instance's router takes a route.

use serde_json::{Map, Value};

use super::write::Report;
use super::{Effect, Incompatibility, Release, RouterFlavor};

const WITHHELD: Effect = Effect::Withheld(Incompatibility::Configuration);

/// Routes here are described by their fields, never by an expression.
pub(super) fn check(report: &mut Report<'_>, route: &Map<String, Value>) {
    let (release, router) = (report.level().release, report.level().router);
    if router == RouterFlavor::Expressions && release < Release::V3_7 {
        let message = format!(
            "a router of flavor `expressions` takes other routes than expressions only since Kong 3.7, not in {}: set \
             router_flavor = traditional_compatible there, or update the instance",
            release.name()
        );
        report.entity(WITHHELD, message);
    }
    let names = route.get("snis").and_then(Value::as_array).into_iter().flatten();
    let has_wildcard = names.filter_map(Value::as_str).any(|name| name.contains('*'));
    if has_wildcard && (router == RouterFlavor::Traditional || release < Release::V3_7) {
        let message = "the instance takes a wildcard here only since Kong 3.7, and not with router_flavor = traditional: name \
                       the hosts, or update the instance"
            .to_owned();
        report.field_named("snis", WITHHELD, message);
    }
}
