//! What 2.8 understands otherwise than every release since 3.0.

use serde_json::{Value, json};

use super::Rewriting;
use crate::compatibility::Effect;

/// 2.8 takes a path for a regular expression by its characters, since 3.0 `~` says so.
pub(super) fn detected_regular_expressions(rewriting: &mut Rewriting<'_, '_>) {
    let Some(Value::Array(paths)) = rewriting.take("paths") else {
        return;
    };
    let each = |path: Value| match path {
        Value::String(path) => Value::String(path_of(rewriting, path)),
        other => other,
    };
    let paths: Vec<Value> = paths.into_iter().map(each).collect();
    rewriting.body.insert("paths".to_owned(), paths.into());
}

fn path_of(rewriting: &mut Rewriting<'_, '_>, path: String) -> String {
    let release = rewriting.release();
    if let Some(expression) = path.strip_prefix('~') {
        if is_plain(expression) && expression.contains('.') {
            let message = format!(
                "Kong {release} takes the regular expression {path} for a plain path, where a dot is only a dot: write it \
                 otherwise, for example with [.] or a ^ at its end"
            );
            rewriting.withhold("paths", message);
        }
        return expression.to_owned();
    }
    if is_plain(&path) {
        return path;
    }
    let escaped = escaped(&path);
    let message = format!(
        "Kong {release} takes the plain path {path} for a regular expression, whose priority differs: it is sent as \
         {escaped}, which matches the same"
    );
    rewriting.found("paths", Effect::Changed, message);
    escaped
}

/// Whether 2.8 takes a path of these characters for a plain one.
fn is_plain(path: &str) -> bool {
    path.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-_~/%".contains(&byte))
}

/// A regular expression that matches this text.
fn escaped(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len() + 4);
    for letter in path.chars() {
        if r"\.+*?()[]{}^$|#".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

/// In 2.8 a header of http-log has a list of values.
pub(super) fn lists_of_header_values(rewriting: &mut Rewriting<'_, '_>) {
    let headers = rewriting.record_mut("config.headers");
    for (_, value) in headers.into_iter().flatten() {
        if value.is_string() {
            *value = json!([value.take()]);
        }
    }
}

/// Metrics of statsd that 2.8 doesn't have aren't sent; they are among the default ones.
pub(super) fn known_metrics(rewriting: &mut Rewriting<'_, '_>) {
    const UNKNOWN: [&str; 3] = [
        "status_count_per_workspace",
        "status_count_per_user_per_route",
        "shdict_usage",
    ];
    let name = |metric: &Value| metric.get("name").and_then(Value::as_str).map(str::to_owned);
    let configuration = rewriting.record_mut("config");
    let metrics = configuration.and_then(|configuration| configuration.get_mut("metrics")?.as_array_mut());
    let Some(metrics) = metrics else { return };
    let unknown: Vec<String> = metrics
        .iter()
        .filter_map(name)
        .filter(|name| UNKNOWN.contains(&name.as_str()))
        .collect();
    if !unknown.is_empty() {
        metrics.retain(|metric| name(metric).is_none_or(|name| !unknown.contains(&name)));
        let message = format!(
            "Kong {} doesn't have the metrics {}: they are left out",
            rewriting.release(),
            unknown.join(", ")
        );
        rewriting.found("config.metrics", Effect::FieldLeftOut, message);
    }
}
