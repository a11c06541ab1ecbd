//! What the server refused, as a sentence: problem+json of the control plane's own resources, Kong's body of entities.

use std::fmt;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::foreign_text::{visible, visible_value};

/// How the `type` ends of a problem that says nothing of what became of a request.
const OUTCOME_UNKNOWN: &str = ":outcome-unknown";

/// A refusal by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// What it said.
    pub message: String,
    /// The request's id, with which the server's log lines are found.
    pub request_id: Option<String>,
    /// Whether the server can't say (yet) whether it did what was asked.
    pub outcome_unknown: bool,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (HTTP {}", self.message, self.status.as_u16())?;
        if let Some(id) = &self.request_id {
            write!(formatter, ", request {id}")?;
        }
        formatter.write_str(")")
    }
}

impl Refusal {
    /// Reads an answer that isn't a success.
    pub fn read(status: StatusCode, headers: &HeaderMap, body: &str) -> Self {
        let header = headers.get("x-request-id").and_then(|value| value.to_str().ok());
        // The server repeats names and reasons that others gave.
        let parsed = visible_value(&serde_json::from_str(body).unwrap_or_default());
        Self {
            status,
            message: message(&parsed).unwrap_or_else(|| without_words(status, body)),
            request_id: header.map(str::to_owned),
            outcome_unknown: parsed["type"]
                .as_str()
                .is_some_and(|kind| kind.ends_with(OUTCOME_UNKNOWN)),
        }
    }
}

fn message(body: &Value) -> Option<String> {
    let text = |field: &str| body[field].as_str().filter(|text| !text.is_empty());
    let mut message = text("detail")
        .or_else(|| text("message"))
        .or_else(|| text("title"))?
        .to_owned();
    for parameter in body["invalid_parameters"].as_array().into_iter().flatten() {
        if let (Some(field), Some(reason)) = (parameter["field"].as_str(), parameter["reason"].as_str())
            && !message.contains(reason)
        {
            message.push_str(&format!("\n  {field}: {reason}"));
        }
    }
    for conflict in body["conflicts"].as_array().into_iter().flatten() {
        if let Some(detail) = conflict["detail"]
            .as_str()
            .filter(|detail| !message.contains(detail))
        {
            message.push_str(&format!("\n  {detail}"));
        }
    }
    Some(message)
}

fn without_words(status: StatusCode, body: &str) -> String {
    let first_line = body.lines().next().unwrap_or_default().trim();
    if first_line.is_empty() {
        status.canonical_reason().unwrap_or("refused").to_owned()
    } else {
        visible(first_line).chars().take(200).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("x-request-id", "r1".parse().unwrap());
        Refusal::read(StatusCode::BAD_REQUEST, &headers, body).to_string()
    }

    #[test]
    fn a_problem_is_its_detail_and_its_parameters() {
        let body = r#"{"status":400,"title":"Bad Request","detail":"Invalid Parameters","invalid_parameters":[{"field":"name","reason":"is required"}]}"#;
        assert_eq!(
            read(body),
            "Invalid Parameters\n  name: is required (HTTP 400, request r1)"
        );
    }

    #[test]
    fn kongs_body_is_its_message() {
        let body = r#"{"code":2,"name":"schema violation","message":"schema violation (host: required field missing)","fields":{"host":"required field missing"}}"#;
        assert_eq!(
            read(body),
            "schema violation (host: required field missing) (HTTP 400, request r1)"
        );
    }

    #[test]
    fn an_answer_of_somebody_else_is_its_first_line() {
        assert_eq!(read("<html>\nnginx"), "<html> (HTTP 400, request r1)");
        assert_eq!(read(""), "Bad Request (HTTP 400, request r1)");
    }
}
