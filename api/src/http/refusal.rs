//! Why a request isn't answered with what it asked for, in the words of the API the caller used (law 7):
//! problem+json on our own endpoints (`runtime-manager-features.md` §2.2), Kong's error body below the entity
//! prefixes (`deck-go-kong.md` §5.4).

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Whose error form an endpoint answers in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `application/problem+json`.
    Problem,
    /// Kong's `{code, name, message, fields}`.
    Kong,
}

/// A refusal, before it is put into a form. Boxed: it travels as the rare half of every result.
#[derive(Clone, Debug)]
pub(crate) struct Refusal(Box<Words>);

/// What a refusal says.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// What, where and how to mend it.
    pub(crate) message: String,
    /// More about why, where the message is one that clients know; decK shows it beside the message.
    pub(crate) details: Option<String>,
    /// Kong's number and name of the error.
    pub(crate) code: Option<(u8, &'static str)>,
    /// Kong's `fields`: errors nested like the input.
    pub(crate) fields: Option<Value>,
    /// Kong's `options`, for a query parameter that doesn't fit.
    pub(crate) options: Option<Value>,
    /// `invalid_parameters` of a problem.
    pub(crate) invalid_parameters: Vec<Value>,
    /// What came later and stands in the way of undoing; a problem's `conflicts`.
    pub(crate) conflicts: Vec<Value>,
    /// A problem's own `type`, where the status alone doesn't say which.
    pub(crate) kind: Option<&'static str>,
    /// Seconds after which asking again makes sense.
    pub(crate) retry_after: Option<u32>,
    /// How long the answer is held back.
    pub(crate) held_back: Duration,
    /// The methods that would be accepted (405).
    pub(crate) allow: Option<String>,
}

impl Deref for Refusal {
    type Target = Words;

    fn deref(&self) -> &Words {
        &self.0
    }
}

impl DerefMut for Refusal {
    fn deref_mut(&mut self) -> &mut Words {
        &mut self.0
    }
}

impl Refusal {
    /// A refusal with nothing but a status and a message.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self(Box::new(Words {
            status,
            message: message.into(),
            details: None,
            code: None,
            fields: None,
            options: None,
            invalid_parameters: Vec::new(),
            conflicts: Vec::new(),
            kind: None,
            retry_after: None,
            held_back: Duration::ZERO,
            allow: None,
        }))
    }

    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// 400 for one parameter or field; `rule` as the hosted product names rules.
    pub(crate) fn invalid(field: &str, rule: &str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let mut refusal = Self::bad_request(format!("{field}: {reason}"));
        refusal.invalid_parameters = vec![json!({ "field": field, "rule": rule, "reason": reason })];
        refusal
    }

    /// 404 in Kong's words for a member that isn't there.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found")
    }

    /// 503 with the time after which to ask again.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        let mut refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, message);
        refusal.retry_after = Some(1);
        refusal
    }

    /// The same with more about why.
    #[must_use]
    pub(crate) fn because(mut self, details: impl Into<String>) -> Self {
        self.details = Some(details.into());
        self
    }

    /// The same with Kong's number and name.
    #[must_use]
    pub(crate) fn coded(mut self, code: u8, name: &'static str) -> Self {
        self.code = Some((code, name));
        self
    }

    /// The same with Kong's `fields`; a problem lists them as `invalid_parameters`, each prefixed with `place`.
    #[must_use]
    pub(crate) fn with_fields(mut self, fields: Value) -> Self {
        flatten("", &fields, &mut self.invalid_parameters);
        self.fields = Some(fields);
        self
    }

    /// The same with its place in a larger body before every field and the message.
    #[must_use]
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        for parameter in &mut self.invalid_parameters {
            let field = parameter["field"].as_str().unwrap_or_default();
            parameter["field"] = Value::from(format!("{place}.{field}"));
        }
        if self.invalid_parameters.is_empty() && self.status == StatusCode::BAD_REQUEST {
            let reason = self.message.clone();
            self.invalid_parameters = vec![json!({ "field": place, "rule": "invalid", "reason": reason })];
        }
        self
    }

    /// The answer in a form.
    pub(crate) fn into_response(self, form: Form, request: Uuid) -> Response<Body> {
        let (content_type, body) = match form {
            Form::Problem => ("application/problem+json", self.problem(request)),
            Form::Kong => ("application/json; charset=utf-8", self.kong()),
        };
        let mut response = Response::new(Body::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allow) = self
            .0
            .allow
            .and_then(|methods| HeaderValue::try_from(methods).ok())
        {
            headers.insert(ALLOW, allow);
        }
        response
    }

    fn problem(&self, request: Uuid) -> Value {
        let mut body = self.told();
        body["instance"] = Value::from(format!("urn:uuid:{request}"));
        body
    }

    /// What it says, as a problem or as one of several in a larger body.
    pub(crate) fn told(&self) -> Value {
        let status = self.status.as_u16();
        let kind = match self.kind {
            Some(kind) => format!("urn:runtime-manager:problem:{kind}"),
            None => format!("https://httpstatuses.com/{status}"),
        };
        let mut body = json!({
            "status": status,
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "type": kind,
            "detail": match &self.details {
                Some(details) => format!("{}: {details}", self.message),
                None => self.message.clone(),
            },
        });
        if !self.invalid_parameters.is_empty() {
            body["invalid_parameters"] = Value::from(self.invalid_parameters.clone());
        }
        if !self.conflicts.is_empty() {
            body["conflicts"] = Value::from(self.conflicts.clone());
        }
        body
    }

    fn kong(&self) -> Value {
        let mut body = Map::new();
        if let Some((code, name)) = self.code {
            body.insert("code".into(), code.into());
            body.insert("name".into(), name.into());
        }
        body.insert("message".into(), self.message.clone().into());
        if let Some(details) = &self.details {
            body.insert("details".into(), details.clone().into());
        }
        if let Some(fields) = &self.fields {
            body.insert("fields".into(), fields.clone());
        }
        if let Some(options) = &self.options {
            body.insert("options".into(), options.clone());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            body.insert("status".into(), 401.into());
        }
        Value::Object(body)
    }
}

/// Errors nested like the input, as a flat list of fields with dotted names.
fn flatten(path: &str, errors: &Value, found: &mut Vec<Value>) {
    let below = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match errors {
        Value::Object(members) => {
            for (name, error) in members {
                flatten(&below(name), error, found);
            }
        }
        Value::Array(elements) => {
            for (index, error) in elements.iter().enumerate().filter(|(_, error)| !error.is_null()) {
                flatten(&below(&index.to_string()), error, found);
            }
        }
        Value::Null => {}
        error => {
            let reason = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
            let rule = match reason.as_str() {
                "required field missing" => "required",
                "unknown field" => "unknown_property",
                _ => "invalid",
            };
            found.push(json!({ "field": path, "rule": rule, "reason": reason }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal() -> Refusal {
        let fields =
            json!({"host": "required field missing", "config": {"redis": {"port": "expected an integer"}}});
        Refusal::bad_request("2 schema violations")
            .coded(2, "schema violation")
            .with_fields(fields)
    }

    #[test]
    fn kongs_form_has_code_name_message_and_nested_fields() {
        let body = refusal().kong();
        assert_eq!(body["code"], 2);
        assert_eq!(body["name"], "schema violation");
        assert_eq!(body["fields"]["config"]["redis"]["port"], "expected an integer");
    }

    #[test]
    fn a_problem_lists_the_same_fields_flat_and_says_where_they_stand() {
        let body = refusal().at("operations[3].body").problem(Uuid::nil());
        assert_eq!(body["status"], 400);
        assert_eq!(body["title"], "Bad Request");
        assert_eq!(body["invalid_parameters"][0]["field"], "operations[3].body.host");
        assert_eq!(body["invalid_parameters"][0]["rule"], "required");
        assert_eq!(
            body["invalid_parameters"][1]["field"],
            "operations[3].body.config.redis.port"
        );
    }
}
