//! Request bodies: size, media type, depth; refused in words before anything else looks at them.

use axum::body::{Body, BodyDataStream};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use domain::bounded_json::{self, NodeBudget, RepeatedKeys};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::memory_budget::Taken;
use super::query::Query;
use super::refusal::Refusal;
use super::{forms, multipart};

/// The media types of entities by Kong's rules.
pub(crate) const KONG_MEDIA_TYPES: [&str; 3] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
];

/// How much of a body that nobody wants is taken and thrown away, in bytes: a sender that listens only when it has sent
/// everything then hears the refusal instead of a broken connection.
const DISCARDED: usize = 16 << 20;

/// How much room is made on an announcement alone, in bytes; more is made as the body comes.
const FIRST_ALLOCATION: usize = 1 << 20;

/// How many values a body may have that is about one thing, in whatever form it comes.
pub(crate) const MOST_VALUES: usize = 100_000;

/// How many values a large body may have: one that is about many things.
pub(crate) const MOST_VALUES_OF_LARGE: usize = 2_000_000;

/// Reads a body of at most `limit` bytes.
/// Each piece takes from the budget for bodies.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    memory: &mut Taken,
) -> Result<Bytes, Refusal> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    let mut pieces = body.into_data_stream();
    if announced > limit {
        discard_from(headers, &mut pieces).await;
        return Err(too_large(limit));
    }
    let mut whole = Vec::with_capacity(announced.min(FIRST_ALLOCATION));
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| unreadable_piece(&error))?;
        let fits = match whole.len() + piece.len() > limit {
            true => Err(too_large(limit)),
            false => memory.take_for(piece.len()),
        };
        if let Err(refusal) = fits {
            // It isn't needed while the rest comes.
            drop(whole);
            memory.give_back();
            discard(&mut pieces).await;
            return Err(refusal);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

/// A body doesn't come, or so slowly that it isn't waited for any longer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "it doesn't come, or too slowly: send at least some of it every 30 s, and 256 bytes a second on the whole"
)]
pub struct TooSlow;

fn unreadable_piece(error: &axum::Error) -> Refusal {
    let mut causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let status = match causes.any(|cause| cause.is::<TooSlow>()) {
        true => StatusCode::REQUEST_TIMEOUT,
        false => StatusCode::BAD_REQUEST,
    };
    Refusal::new(status, format!("the request's body could not be read: {error}"))
}

/// Takes and throws away the body of a request that was refused without it.
pub(crate) async fn discard_unread(headers: &HeaderMap, body: Body) {
    discard_from(headers, &mut body.into_data_stream()).await;
}

async fn discard_from(headers: &HeaderMap, pieces: &mut BodyDataStream) {
    // Who sends `Expect: 100-continue` waits for the answer before sending anything.
    if !headers.contains_key(EXPECT) {
        discard(pieces).await;
    }
}

async fn discard(pieces: &mut BodyDataStream) {
    let mut discarded = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        discarded += piece.len();
        if discarded > DISCARDED {
            return;
        }
    }
}

fn too_large(limit: usize) -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is larger than {limit} bytes, the most this endpoint takes"),
    )
}

/// Refuses a body whose media type isn't one of these. An empty body needs none.
pub(crate) fn check_media_type(headers: &HeaderMap, body: &Bytes, accepted: &[&str]) -> Result<(), Refusal> {
    if body.is_empty() {
        return Ok(());
    }
    let given = media_type(headers);
    match given.as_deref() {
        Some(given) if accepted.contains(&given) => Ok(()),
        _ => {
            let given = given.map_or_else(|| "none".to_owned(), |given| format!("`{given}`"));
            let refusal = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported media type");
            Err(refusal.because(format!(
                "the body's Content-Type is {given}; this endpoint takes {}",
                accepted.join(", ")
            )))
        }
    }
}

/// The body's media type in lower case, without parameters.
pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let name = value.split(';').next().unwrap_or_default();
    Some(name.trim().to_ascii_lowercase())
}

/// The body as a JSON object of at most so many values; an empty body is an empty object.
pub(crate) fn object(body: &Bytes, most_values: usize) -> Result<Map<String, Value>, Refusal> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    let budget = NodeBudget::new(most_values);
    match bounded_json::from_slice(body, &budget, RepeatedKeys::LastCounts) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(no_json("it must be an object, {…}")),
        Err(_) if budget.is_exhausted() => Err(too_many_values(most_values)),
        Err(error) => Err(unreadable(&error)),
    }
}

/// The refusal of a body that has more values than its endpoint takes.
pub(crate) fn too_many_values(most: usize) -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body has more than {most} values, the most this endpoint takes: send less at once"),
    )
}

/// The fields of a body that is a form; none if it isn't one.
pub(crate) fn form(headers: &HeaderMap, body: &Bytes) -> Result<Option<Map<String, Value>>, Refusal> {
    let fields = match media_type(headers).as_deref() {
        Some("application/x-www-form-urlencoded") => {
            let text = std::str::from_utf8(body)
                .map_err(|_| Refusal::bad_request("Cannot parse the form: it isn't valid UTF-8"))?;
            if text.bytes().filter(|byte| *byte == b'&').count() >= MOST_VALUES {
                return Err(too_many_values(MOST_VALUES));
            }
            let pairs = Query::parse(text)?;
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            pairs.iter().map(owned).collect()
        }
        Some("multipart/form-data") => {
            let whole = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            multipart::fields(whole.unwrap_or_default(), body)?
        }
        _ => return Ok(None),
    };
    forms::object(fields).map(Some)
}

/// The body as a value of a type that knows its fields.
pub(crate) fn typed<T: DeserializeOwned>(body: &Bytes, most_values: usize) -> Result<T, Refusal> {
    let object = Value::Object(object(body, most_values)?);
    serde_json::from_value(object).map_err(|error| Refusal::bad_request(format!("the body: {error}")))
}

/// The refusal of a body that isn't JSON.
pub(crate) fn unreadable(error: &serde_json::Error) -> Refusal {
    let why = error.to_string();
    if why.contains("recursion limit") {
        return no_json("it is nested more than 127 levels deep");
    }
    no_json(&why)
}

fn no_json(why: &str) -> Refusal {
    Refusal::bad_request("Cannot parse JSON body").because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_nested_ten_thousand_deep_is_refused_in_words() {
        let body = Bytes::from("{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000));
        let refusal = object(&body, MOST_VALUES).unwrap_err();
        assert_eq!(refusal.message, "Cannot parse JSON body");
        assert_eq!(
            refusal.details.as_deref(),
            Some("it is nested more than 127 levels deep")
        );
    }

    #[test]
    fn anything_but_an_object_is_refused_and_nothing_is_an_empty_object() {
        let read = |body: &'static [u8]| object(&Bytes::from_static(body), MOST_VALUES);
        assert!(read(b"[]").is_err());
        assert!(read(b"{\"a\":").is_err());
        assert!(read(b"").unwrap().is_empty());
    }

    #[test]
    fn a_body_of_too_many_values_is_refused_whatever_its_size() {
        let body = Bytes::from(format!("{{\"a\":[{}0]}}", "0,".repeat(MOST_VALUES)));
        let refusal = object(&body, MOST_VALUES).unwrap_err();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(object(&body, MOST_VALUES_OF_LARGE).is_ok());
    }

    #[test]
    fn media_types_are_compared_without_parameters() {
        let body = Bytes::from_static(b"{}");
        let mut headers = HeaderMap::new();
        let refused = check_media_type(&headers, &body, &["application/json"]).unwrap_err();
        assert_eq!(refused.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        headers.insert(CONTENT_TYPE, "Application/JSON; charset=utf-8".parse().unwrap());
        assert!(check_media_type(&headers, &body, &["application/json"]).is_ok());
    }
}
