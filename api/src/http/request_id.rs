//! A request's id: the caller's own if it is a UUID, else a new one; in every answer, log line and change.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response};
use axum::middleware::Next;
use tracing::{Instrument, debug, info_span};
use uuid::Uuid;

use super::naming;
use super::services::Entropy;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id, as the request carries it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestId(Uuid);

impl RequestId {
    /// The id that [`identify`] gave a request.
    pub(crate) fn of(parts: &Parts) -> Uuid {
        parts.extensions.get::<Self>().map_or(Uuid::nil(), |id| id.0)
    }
}

/// Gives every request an id and a span, and every answer the id.
pub(crate) async fn identify(
    State(entropy): State<Entropy>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    let given = request
        .headers()
        .get(&HEADER)
        .and_then(|value| Uuid::try_parse(value.to_str().ok()?).ok());
    let id = given.unwrap_or_else(|| fresh(entropy));
    request.extensions_mut().insert(RequestId(id));
    let path = naming::without_secrets(request.uri().path());
    let span = info_span!("request", %id, method = %request.method(), path = &*path);
    let started = Instant::now();
    async move {
        let mut response = next.run(request).await;
        let status = response.status().as_u16();
        let elapsed = started.elapsed();
        metrics::counter!("http_requests_total", "status" => status.to_string()).increment(1);
        metrics::histogram!("http_request_duration_seconds").record(elapsed.as_secs_f64());
        debug!(status, microseconds = elapsed.as_micros() as u64, "answered");
        let value = HeaderValue::try_from(id.to_string()).expect("a UUID's text is a header value");
        response.headers_mut().insert(HEADER, value);
        response
    }
    .instrument(span)
    .await
}

fn fresh(entropy: Entropy) -> Uuid {
    let seed = entropy();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&seed[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
