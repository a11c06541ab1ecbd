//! What a handler answers: status, headers, body.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use domain::Version;
use hyper::body::Body as _;
use serde::Serialize;

use super::preconditions::entity_tag;

/// The group's version that an answer was made from, and in a request the version it must at least have.
pub(crate) const GROUP_VERSION: HeaderName = HeaderName::from_static("x-group-version");

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer(Response<Body>);

impl Answer {
    /// A body of JSON text.
    pub(crate) fn json_text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self::text(status, "application/json; charset=utf-8", text)
    }

    /// A value as JSON.
    pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Self {
        let text = serde_json::to_vec(value).expect("answers are made of JSON values and strings");
        Self::json_text(status, text)
    }

    /// 200 with a value as JSON.
    pub(crate) fn ok(value: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, value)
    }

    /// A body of any text.
    pub(crate) fn text(status: StatusCode, media_type: &'static str, text: impl Into<Bytes>) -> Self {
        Self::stream(status, media_type, Body::from(text.into()))
    }

    /// A body that may not end.
    pub(crate) fn stream(status: StatusCode, media_type: &'static str, body: Body) -> Self {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        Self(response)
    }

    /// A status without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        Self(response)
    }

    /// With the version of what is answered with as its ETag.
    #[must_use]
    pub(crate) fn tagged(self, version: Version) -> Self {
        self.with(ETAG, entity_tag(version))
    }

    /// With the group's version.
    #[must_use]
    pub(crate) fn at_version(self, version: Version) -> Self {
        self.with(GROUP_VERSION, HeaderValue::from(version))
    }

    /// With the place of what was created.
    #[must_use]
    pub(crate) fn located(self, path: &str) -> Self {
        match HeaderValue::try_from(path) {
            Ok(path) => self.with(LOCATION, path),
            Err(_) => self,
        }
    }

    /// With a header.
    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }

    /// Whether its body is here as a whole, and not made while it is sent.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.body().size_hint().exact().is_some()
    }

    /// With another body, made from its headers and its body.
    pub(crate) fn map_body(self, change: impl FnOnce(&HeaderMap, Body) -> Body) -> Self {
        let (parts, body) = self.0.into_parts();
        let body = change(&parts.headers, body);
        Self(Response::from_parts(parts, body))
    }

    /// As axum wants it.
    pub(crate) fn into_response(self) -> Response<Body> {
        self.0
    }
}
