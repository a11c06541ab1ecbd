//! Item 39: everything that can be configured, projected onto every release, is valid there, and for everything that is lost
//! on the way there is a finding.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use domain::EntityId;
use domain::compatibility::{Effect, Finding, Release, Written, write};
use domain::group::{Entity, Group};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::field_list_validator::refusals;
use crate::given::{level, parsed};
use crate::sink::{Leaf, Subject, set, unset};

type Body = Map<String, Value>;

/// A subject, its leaves and its bodies.
struct Sink {
    subject: Subject,
    leaves: Vec<Leaf>,
    bodies: Vec<Body>,
}

static SINKS: LazyLock<Vec<Sink>> = LazyLock::new(|| {
    let sink = |subject: Subject| {
        let leaves = subject.leaves();
        let bodies = subject.bodies(&leaves);
        Sink {
            subject,
            leaves,
            bodies,
        }
    };
    Subject::all().into_iter().map(sink).collect()
});

/// Every body, for every release.
fn on_every_release() -> impl Iterator<Item = (&'static Sink, &'static Body, Release)> {
    SINKS.iter().flat_map(|sink| {
        let bodies = sink.bodies.iter().map(move |body| (sink, body));
        bodies.flat_map(|(sink, body)| Release::all().map(move |release| (sink, body, release)))
    })
}

fn written(subject: Subject, stored: &Body, release: Release) -> Written {
    let group = Group::default();
    let entity = Entity::from_map(subject.kind, EntityId(Uuid::from_u128(1)), stored);
    write(&group, &entity, &level(&group, release.name()))
}

/// Values at their paths; what an array holds is one value.
fn leaves_of(at: &str, members: &Body, found: &mut Vec<(String, Value)>) {
    for (name, value) in members {
        let path = if at.is_empty() {
            name.clone()
        } else {
            format!("{at}.{name}")
        };
        match value {
            Value::Object(below) if !below.contains_key("id") => leaves_of(&path, below, found),
            Value::Null => {}
            value => found.push((path, without_nulls(value))),
        }
    }
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let set = members.iter().filter(|(_, value)| !value.is_null());
            Value::Object(
                set.map(|(name, value)| (name.clone(), without_nulls(value)))
                    .collect(),
            )
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        value => value.clone(),
    }
}

fn at<'v>(body: &'v Body, path: &str) -> Option<&'v Value> {
    let mut names = path.split('.');
    let first = body.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

/// What a field is called by some older release.
fn older_names(subject: Subject, path: &str) -> Vec<String> {
    let plugin = subject.plugin.unwrap_or_default();
    let Some(field) = path.strip_prefix("config.") else {
        return vec![];
    };
    let renamed = match (plugin, field) {
        ("opentelemetry", "traces_endpoint") => "endpoint",
        ("opentelemetry", "queue.max_batch_size") => "batch_span_count",
        ("opentelemetry", "queue.max_coalescing_delay") => "batch_flush_delay",
        ("statsd" | "datadog" | "http-log", "queue.max_batch_size") => "queue_size",
        ("statsd" | "datadog" | "http-log", "queue.max_coalescing_delay") => "flush_timeout",
        ("session", "idling_timeout") => "cookie_idletime",
        ("session", "rolling_timeout") => "cookie_lifetime",
        ("session", "stale_ttl") => "cookie_discard",
        ("session", "cookie_same_site") => "cookie_samesite",
        ("session", "cookie_http_only") => "cookie_httponly",
        ("session", "remember") => "cookie_persistent",
        ("acme", "storage_config.redis.password") => "storage_config.redis.auth",
        ("acme", "storage_config.redis.server_name") => "storage_config.redis.ssl_server_name",
        ("acme", "storage_config.redis.extra_options.namespace") => "storage_config.redis.namespace",
        ("acme", "storage_config.redis.extra_options.scan_count") => "storage_config.redis.scan_count",
        ("rate-limiting" | "response-ratelimiting", field) if field.starts_with("redis.") => {
            return vec![format!("config.{}", field.replace('.', "_"))];
        }
        _ => return vec![],
    };
    vec![format!("config.{renamed}")]
}

fn is_about(finding: &Finding, path: &str) -> bool {
    let field = finding.field.as_deref().unwrap_or_default();
    let below = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    below(path, field) || below(field, path)
}

/// What was set and is neither sent nor named.
fn silently_lost(
    sink: &Sink,
    stored: &Body,
    sent: &Body,
    findings: &[Finding],
    release: Release,
) -> Vec<String> {
    let is_default = |path: &str, value: &Value| {
        let leaf = sink.leaves.iter().find(|leaf| leaf.path == path);
        leaf.and_then(|leaf| leaf.default.as_ref()) == Some(value)
            || value.as_array().is_some_and(Vec::is_empty)
    };
    let spelled = |value: &Value| match value {
        Value::Object(foreign) => foreign["id"].clone(),
        value => value.clone(),
    };
    let mut set = Vec::new();
    leaves_of("", stored, &mut set);
    let mut lost = Vec::new();
    for (path, value) in set {
        let names = std::iter::once(path.clone()).chain(older_names(sink.subject, &path));
        let is_kept = names.clone().any(|name| {
            at(sent, &name).is_some_and(|sent| without_nulls(sent) == spelled(&value))
                || findings.iter().any(|finding| is_about(finding, &name))
        });
        let is_respelled =
            release.name() == "2.8" && (path.starts_with("config.headers.") || path == "paths");
        let is_generated = matches!(path.as_str(), "created_at" | "updated_at");
        if !is_kept && !is_respelled && !is_generated && !is_default(&path, &value) {
            lost.push(format!("{path} = {value}"));
        }
    }
    lost
}

/// Does what withheld findings ask for until the body is sent; none where nothing the operator sets would help.
fn mended(sink: &Sink, body: &Body, release: Release) -> Option<(Body, Written)> {
    let (subject, mut body) = (sink.subject, body.clone());
    loop {
        let stored = subject.stored(&body)?;
        let written = written(subject, &stored, release);
        if written.text.is_some() {
            return Some((stored, written));
        }
        let withheld = written
            .findings
            .iter()
            .filter(|finding| matches!(finding.effect, Effect::Withheld(_)));
        let fields: Vec<&str> = withheld.filter_map(|finding| finding.field.as_deref()).collect();
        let names_it = |field: &str, path: &str| {
            let mut names = older_names(subject, path);
            names.push(path.to_owned());
            names
                .iter()
                .any(|name| field == name || field.starts_with(&format!("{name}.")))
        };
        let asked = sink.leaves.iter().find(|leaf| {
            at(&body, &leaf.path).is_some() && fields.iter().any(|field| names_it(field, &leaf.path))
        })?;
        unset(&mut body, &asked.path);
    }
}

#[test]
fn item_39_everything_is_valid_on_every_release_and_nothing_is_lost_silently() {
    let mut failures = BTreeSet::new();
    let mut sent_at_all = 0;
    for (sink, body, release) in on_every_release() {
        let Some((stored, written)) = mended(sink, body, release) else {
            continue;
        };
        sent_at_all += 1;
        let sent = parsed(&written).expect("sent");
        let on = format!("{} on {}", sink.subject.name(), release.name());
        for refusal in refusals(sink.subject.kind.name(), &sent, release) {
            failures.insert(format!("{on}: {refusal}"));
        }
        for lost in silently_lost(sink, &stored, &sent, &written.findings, release) {
            failures.insert(format!("{on}: lost {lost}"));
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {sent_at_all}:\n{failures:#?}",
        failures.len()
    );
    assert!(sent_at_all > 3_000, "only {sent_at_all}");
}

#[test]
fn the_sink_sets_every_field_that_can_be_set() {
    let mut unset = Vec::new();
    for Sink {
        subject,
        leaves,
        bodies,
    } in SINKS.iter()
    {
        let stored = |body: &Body| {
            subject
                .stored(body)
                .unwrap_or_else(|| panic!("{} refuses {body:?}", subject.name()))
        };
        let stored: Vec<Body> = bodies.iter().map(stored).collect();
        for leaf in leaves {
            let value = |body: &Body| at(body, &leaf.path).filter(|value| !value.is_null()).cloned();
            let is_set = stored
                .iter()
                .filter_map(value)
                .any(|value| Some(&value) != leaf.default.as_ref());
            if !is_set {
                unset.push(format!("{} {}", subject.name(), leaf.path));
            }
        }
    }
    assert_eq!(unset, [""; 0]);
}

#[test]
fn what_isnt_sent_is_never_sent_for_a_reason_that_is_named() {
    for (sink, body, release) in on_every_release() {
        let stored = sink.subject.stored(body).expect("an accepted body");
        let written = written(sink.subject, &stored, release);
        let is_explained = written.text.is_some() || !written.findings.is_empty();
        assert!(is_explained, "{} on {}", sink.subject.name(), release.name());
    }
}

#[test]
fn writing_is_a_pure_function_of_group_entity_and_level() {
    for Sink { subject, bodies, .. } in SINKS.iter() {
        let mut other = bodies[0].clone();
        set(&mut other, "tags", Value::from(vec!["other"]));
        let stored = subject.stored(&bodies[0]).expect("an accepted body");
        let other = subject.stored(&other).expect("an accepted body");
        let first: Vec<Written> = Release::all()
            .map(|release| written(*subject, &stored, release))
            .collect();
        let others: Vec<Written> = Release::all()
            .map(|release| written(*subject, &other, release))
            .collect();
        let again: Vec<Written> = Release::all()
            .rev()
            .map(|release| written(*subject, &stored, release))
            .collect();
        assert!(
            again.into_iter().rev().eq(first.iter().cloned()),
            "{}",
            subject.name()
        );
        assert_ne!(others.last(), first.last(), "{}", subject.name());
    }
}
