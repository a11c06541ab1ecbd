//! A decK file as one atomic change: `POST /apply?dry_run&prune`.

use std::sync::Arc;

use axum::http::Method;
use domain::declarative::{Document, MOST_VALUES, parse};
use domain::group::GroupCommand;
use serde_json::json;

use super::answer::Answer;
use super::body;
use super::endpoint::{Endpoint, LARGE_BODY_LIMIT, Permission, query};
use super::exchange::Exchange;
use super::groups;
use super::preconditions;
use super::refusal::Refusal;
use super::writes::WRITE_HEADERS;

const JSON: &str = "application/json";
/// What a decK file may come as.
pub(crate) const MEDIA_TYPES: [&str; 6] = [
    JSON,
    "application/yaml",
    "application/x-yaml",
    "text/yaml",
    "text/x-yaml",
    "application/vnd.yaml",
];

/// The endpoint, under both prefixes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    groups::PREFIXES.into_iter().map(under).collect()
}

fn under(prefix: &str) -> Endpoint {
    let switches = [
        query("dry_run", "only say what would change"),
        query(
            "prune",
            "also delete what the file doesn't have, within its select tags if it names any",
        ),
    ];
    Endpoint::new(
        Method::POST,
        format!("{prefix}/{{group}}/apply"),
        Permission::WriteGroup,
        "Make a group's configuration what a decK file says, as one change",
        apply,
    )
    .reads(&switches)
    .reads(&WRITE_HEADERS)
    .takes_media(&MEDIA_TYPES, json!({ "type": "object", "title": "a decK file" }))
    .takes_large_bodies()
    .answers(200, json!({ "$ref": "#/components/schemas/ChangeReport" }))
}

async fn apply(mut exchange: Exchange) -> Result<Answer, Refusal> {
    let dry_run = exchange.query.flag("dry_run")?;
    let prune = exchange.query.flag("prune")?;
    let expected_version = preconditions::expected_version(&exchange.headers)?;
    let document = document(&mut exchange)?;
    let declaration =
        parse(document).map_err(|error| Refusal::invalid(&error.path, "invalid", error.reason))?;
    let command = GroupCommand::Declare {
        declaration: Arc::new(declaration),
        prune,
        expected_version,
    };
    if dry_run {
        return exchange.report_trial(command).await;
    }
    let accepted = exchange.change_group(command).await?;
    exchange.report(&accepted).await
}

/// The decK file in the request's body, which is needed no longer.
pub(crate) fn document(exchange: &mut Exchange) -> Result<Document, Refusal> {
    let text = exchange.take_body();
    if text.is_empty() {
        return Err(Refusal::bad_request(
            "the body is empty: send a decK file (YAML or JSON)",
        ));
    }
    if body::media_type(&exchange.headers).as_deref() == Some(JSON) {
        return serde_json::from_slice(&text).map_err(|error| body::unreadable(&error));
    }
    yaml(&text)
}

/// Reads a declarative file in YAML; none if it is none.
pub fn read(text: &[u8]) -> Option<Document> {
    yaml(text).ok()
}

/// Reads YAML within bounds: anchors and aliases can't blow it up, and no key stands twice in a mapping.
fn yaml(bytes: &[u8]) -> Result<Document, Refusal> {
    let text = std::str::from_utf8(bytes).map_err(|_| Refusal::bad_request("the file isn't valid UTF-8"))?;
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        emit_comments: false,
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: 100,
            max_events: 20_000_000,
            max_nodes: MOST_VALUES,
            max_total_scalar_bytes: LARGE_BODY_LIMIT,
        },
    };
    serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| Refusal::bad_request(format!("the file isn't usable YAML: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_reads_as_json_does() {
        let text = "_format_version: \"3.0\"\nservices:\n- name: s\n  port: 80\n  ratio: 0.5\n  tags: [a, null, true, -1]\n";
        let expected = json!({
            "_format_version": "3.0",
            "services": [{"name": "s", "port": 80, "ratio": 0.5, "tags": ["a", null, true, -1]}],
        });
        assert_eq!(parse(yaml(text.as_bytes()).unwrap()), parse(&expected));
    }

    #[test]
    fn a_list_of_numbers_is_refused_without_being_kept() {
        let refused = parse(yaml(b"[0, 0, 0]").unwrap()).unwrap_err();
        assert_eq!(refused.path, "the file");
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        assert!(yaml(b"services: []\nservices: []\n").is_err());
    }

    #[test]
    fn a_file_of_nested_aliases_is_refused_instead_of_unfolded() {
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let one = format!("*a{},", level - 1).repeat(10);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", one.trim_end_matches(',')));
        }
        assert!(yaml(bomb.as_bytes()).is_err());
    }

    #[test]
    fn a_file_nested_ten_thousand_deep_is_refused() {
        assert!(yaml("[".repeat(10_000).as_bytes()).is_err());
    }
}
