//! Whether an instance has what an entity needs: its kind, its plugin, its filters.

use serde_json::{Map, Value};

use super::field_lists::{self, Field};
use super::write::Report;
use super::{Effect, GatewayVersion, Incompatibility, Level, Release};
use crate::Kind;

const PLUGINS: &str = "plugins";
const FILTER_CHAINS: &str = "filter_chains";

/// Whether instances never receive entities of this kind.
pub(super) fn is_never_sent(kind: Kind) -> bool {
    let schema = kind.schema();
    !schema.exported || !schema.configuration
}

/// Whether instances of this level know entities of this kind at all.
pub fn knows(kind: Kind, level: &Level) -> bool {
    let fields = field_lists::entity(kind.name(), level.release).filter(|_| !is_never_sent(kind));
    fields.is_some_and(|fields| {
        let plugin = fields.definition.plugin.as_ref();
        plugin.is_none_or(|plugin| level.plugins.contains_key(plugin))
    })
}

/// The fields of an entity at a level; none where it isn't sent, with a finding that says why.
pub(super) fn fields(
    report: &mut Report<'_>,
    kind: Kind,
    body: &Map<String, Value>,
) -> Option<&'static Field> {
    match kind.name() {
        PLUGINS => plugin(report, kind, body),
        FILTER_CHAINS => filter_chain(report, body),
        _ => of_kind(report, kind),
    }
}

fn plugin(report: &mut Report<'_>, kind: Kind, body: &Map<String, Value>) -> Option<&'static Field> {
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    let release = report.level().release;
    let Some(reported) = report.level().plugins.get(name).cloned() else {
        let message = format!(
            "the instance has no plugin {name}: add it to the instance's `plugins`, or remove it here"
        );
        report.entity(Effect::Withheld(Incompatibility::PluginSet), message);
        return None;
    };
    if kind.schema().plugin(name).is_none() {
        return field_lists::entity(PLUGINS, release);
    }
    let fields = field_lists::plugin(name, release);
    if fields.is_none() {
        let since = field_lists::first_with_plugin(name)
            .unwrap_or(Release::NEWEST)
            .name();
        let message = format!(
            "Kong {} has no plugin {name}: update the instance to {since} or newer, or remove the plugin",
            release.name()
        );
        report.entity(Effect::Withheld(Incompatibility::PluginSet), message);
    } else if let Some(version) = reported.filter(|version| !is_fitting(name, version, release)) {
        let message = format!(
            "the instance reports version {version} of plugin {name}, which this control plane doesn't know: install the \
             one that comes with Kong {}",
            release.name()
        );
        report.entity(Effect::Withheld(Incompatibility::PluginVersion), message);
        return None;
    }
    fields
}

/// Since 3.0 Kong's plugins have Kong's version, opentelemetry only since 3.8. Before, each has its own.
fn is_fitting(name: &str, reported: &str, release: Release) -> bool {
    if release < Release::V3_0 {
        return true;
    }
    let (major, minor) = Release::NEWEST.numbers();
    let newest = GatewayVersion::parse(reported)
        .is_some_and(|version| version.major == major && version.minor <= minor);
    newest || (name == "opentelemetry" && reported.starts_with("0.1."))
}

fn filter_chain(report: &mut Report<'_>, body: &Map<String, Value>) -> Option<&'static Field> {
    let fields = field_lists::entity(FILTER_CHAINS, report.level().release);
    let filters = body
        .get("filters")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let names = filters.filter_map(|filter| filter.get("name")?.as_str());
    let missing = |level: &Level, name: &str| !level.filters.contains(name);
    let missing: Vec<&str> = names.filter(|name| missing(report.level(), name)).collect();
    if fields.is_some() && missing.is_empty() {
        return fields;
    }
    let message = match fields {
        Some(_) => format!(
            "the instance lacks the filter {}: install it there, or remove it here",
            missing.join(", ")
        ),
        None => format!(
            "Kong {} has no WebAssembly filters: update the instance to 3.4 or newer, or remove the filter chain",
            report.release()
        ),
    };
    report.entity(Effect::Withheld(Incompatibility::FilterSet), message);
    None
}

fn of_kind(report: &mut Report<'_>, kind: Kind) -> Option<&'static Field> {
    let Some(fields) = field_lists::entity(kind.name(), report.level().release) else {
        let (effect, message) = match field_lists::entity(kind.name(), Release::NEWEST) {
            Some(_) => (
                Effect::EntityLeftOut,
                format!(
                    "Kong {} has no {kind}: nothing there can use it",
                    report.release()
                ),
            ),
            None => (
                Effect::Withheld(Incompatibility::Configuration),
                format!(
                    "open-source Kong has no {kind} and would apply the rest to everybody: remove it, or use other means"
                ),
            ),
        };
        report.entity(effect, message);
        return None;
    };
    if let Some(plugin) = &fields.definition.plugin
        && !report.level().plugins.contains_key(plugin)
    {
        let message =
            format!("the instance has no plugin {plugin}, to which {kind} belong: nothing there can use it");
        report.entity(Effect::EntityLeftOut, message);
        return None;
    }
    Some(fields)
}
