//! Answers that are too long to be held: an object whose lists are written while it is sent, item by item.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use serde::Serialize;

use super::answer::Answer;

/// How many bytes are written at once.
const PIECE: usize = 64 * 1024;

/// JSON texts, one after another.
type Texts = Box<dyn Iterator<Item = Vec<u8>> + Send>;

/// An object being put together.
pub(crate) struct StreamedObject {
    /// What is written, in order.
    parts: Vec<Texts>,
}

impl StreamedObject {
    /// With these members so far, all of them short. `first` is an object with at least one member.
    pub(crate) fn beginning_with(first: &impl Serialize) -> Self {
        let mut text = json(first);
        text.pop();
        Self {
            parts: vec![Box::new(std::iter::once(text))],
        }
    }

    /// With one more member.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: &impl Serialize) -> Self {
        let text = [format!(",\"{name}\":").into_bytes(), json(value)].concat();
        self.parts.push(Box::new(std::iter::once(text)));
        self
    }

    /// With a list as one more member.
    #[must_use]
    pub(crate) fn with_list<Item: Serialize>(
        mut self,
        name: &str,
        items: impl Iterator<Item = Item> + Send + 'static,
    ) -> Self {
        let begin = format!(",\"{name}\":[").into_bytes();
        let written = items.enumerate().map(|(number, item)| match number {
            0 => json(&item),
            _ => [b",".as_slice(), &json(&item)].concat(),
        });
        let whole = std::iter::once(begin).chain(written).chain([b"]".to_vec()]);
        self.parts.push(Box::new(whole));
        self
    }

    /// The answer. A short one is sent at once, with its length.
    pub(crate) fn ok(self) -> Answer {
        const TYPE: &str = "application/json; charset=utf-8";
        let mut texts = self.parts.into_iter().flatten().chain([b"}".to_vec()]);
        let mut pieces = std::iter::from_fn(move || {
            let mut piece = Vec::new();
            while piece.len() < PIECE {
                match texts.next() {
                    Some(text) => piece.extend_from_slice(&text),
                    None => break,
                }
            }
            (!piece.is_empty()).then(|| Bytes::from(piece))
        });
        let first = pieces.next().unwrap_or_default();
        if first.len() < PIECE {
            return Answer::text(StatusCode::OK, TYPE, first);
        }
        let all = std::iter::once(first).chain(pieces).map(Ok::<_, Infallible>);
        Answer::stream(
            StatusCode::OK,
            TYPE,
            Body::from_stream(futures::stream::iter(all)),
        )
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("answers are made of JSON values and strings")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    async fn read(answer: Answer) -> Value {
        let body = answer.into_response().into_body();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn short_and_long_lists_are_written_alike() {
        for length in [0, 1, 2, 100_000] {
            let object = StreamedObject::beginning_with(&json!({"version": 1}))
                .with_list("items", 0..length)
                .with("last", &"x");
            let items: Vec<_> = (0..length).collect();
            assert_eq!(
                read(object.ok()).await,
                json!({"version": 1, "items": items, "last": "x"})
            );
        }
    }
}
