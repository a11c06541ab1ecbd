//! JSON-RPC 2.0 as Kong speaks it: requests and their answers, notifications, batches.
//!
//! Decoding is total: whatever text comes, it is calls, or the error with which it is answered.

use domain::bounded_json::{self, NodeBudget, RepeatedKeys};
use serde::Serialize;
use serde_json::Value;

/// The text is no JSON.
pub const PARSE_ERROR: i64 = -32_700;
/// It is no call.
pub const INVALID_REQUEST: i64 = -32_600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32_601;
/// The method isn't called like that.
pub const INVALID_PARAMS: i64 = -32_602;

/// How many calls a batch may have.
const BATCH_LIMIT: usize = 100;
/// How many values a message may have: a list of plugins is the longest one.
const MOST_VALUES: usize = 100_000;
/// The longest id that is text, in bytes.
const ID_LIMIT: usize = 256;

/// What an answer refers to: a number, 0 as well as any other, or a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Id(Value);

impl Id {
    /// What answers refer to that can't say to what.
    pub const NONE: Self = Self(Value::Null);

    fn read(id: Value) -> Option<Self> {
        match &id {
            Value::Number(_) => Some(Self(id)),
            Value::String(text) if text.len() <= ID_LIMIT => Some(Self(id)),
            _ => None,
        }
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self(number.into())
    }
}

/// Why a call isn't answered as it was meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// Which kind of error.
    pub code: i64,
    /// What happened.
    pub message: String,
}

impl RpcError {
    /// An error.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}

/// One thing said.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A call that wants an answer.
    Request {
        /// What the answer must refer to.
        id: Id,
        /// What is called.
        method: String,
        /// With what.
        params: Value,
    },
    /// A call that wants none.
    Notification {
        /// What is called.
        method: String,
        /// With what.
        params: Value,
    },
    /// The answer to a call of this side.
    Answer(Result<Value, RpcError>),
    /// Something else; how it is answered.
    Invalid(Id, RpcError),
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// One thing.
    One(Said),
    /// Many, whose answers go into one message too.
    Batch(Vec<Said>),
}

/// Reads a message.
pub fn decode(text: &[u8]) -> Message {
    let budget = NodeBudget::new(MOST_VALUES);
    match bounded_json::from_slice(text, &budget, RepeatedKeys::LastCounts) {
        Ok(Value::Array(batch)) if batch.is_empty() => Message::One(invalid("the batch is empty")),
        Ok(Value::Array(batch)) if batch.len() > BATCH_LIMIT => Message::One(invalid(&format!(
            "the batch has {} calls, more than the {BATCH_LIMIT} allowed",
            batch.len()
        ))),
        Ok(Value::Array(batch)) => Message::Batch(batch.into_iter().map(said).collect()),
        Ok(one) => Message::One(said(one)),
        Err(error) => Message::One(Said::Invalid(
            Id::NONE,
            RpcError::new(PARSE_ERROR, format!("this is no JSON: {error}")),
        )),
    }
}

fn said(message: Value) -> Said {
    let Value::Object(mut message) = message else {
        return invalid("not a valid object");
    };
    let id = message.remove("id").filter(|id| !id.is_null());
    if message.get("jsonrpc") != Some(&Value::from("2.0")) {
        return refused(id, "it doesn't say that it is JSON-RPC 2.0");
    }
    let params = message.remove("params").unwrap_or(Value::Null);
    match (message.remove("method"), id) {
        (Some(Value::String(method)), None) => Said::Notification { method, params },
        (Some(Value::String(method)), Some(id)) => match Id::read(id) {
            Some(id) => Said::Request { id, method, params },
            None => invalid("an id is a number or a short text"),
        },
        (Some(_), id) => refused(id, "a method's name is a text"),
        (None, id) => match (message.remove("error"), message.remove("result")) {
            (Some(error), _) if !error.is_null() => Said::Answer(Err(error_of(&error))),
            (_, Some(result)) => Said::Answer(Ok(result)),
            _ => refused(id, "it is neither a call nor an answer"),
        },
    }
}

fn error_of(error: &Value) -> RpcError {
    let message = error["message"].as_str().unwrap_or("it doesn't say why");
    RpcError::new(error["code"].as_i64().unwrap_or_default(), message)
}

fn invalid(message: &str) -> Said {
    refused(None, message)
}

fn refused(id: Option<Value>, message: &str) -> Said {
    let id = id.and_then(Id::read).unwrap_or(Id::NONE);
    Said::Invalid(id, RpcError::new(INVALID_REQUEST, message))
}

#[derive(Serialize)]
struct Request<'a> {
    jsonrpc: &'static str,
    id: Id,
    method: &'a str,
    params: [Value; 1],
}

/// Writes a call. Kong's methods take one value each.
pub fn request(id: u64, method: &str, param: Value) -> String {
    text(&Request {
        jsonrpc: "2.0",
        id: id.into(),
        method,
        params: [param],
    })
}

/// Writes an answer up to the result, which follows, and then a closing brace.
pub fn answer_head(id: &Id) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"result":"#, text(id))
}

/// Writes an answer.
pub fn answer(id: &Id, result: &Value) -> String {
    format!("{}{result}}}", answer_head(id))
}

/// Writes why a call has no result.
pub fn refusal(id: &Id, error: &RpcError) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{}}}"#, text(id), text(error))
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("it has only what JSON can say")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Said {
        match decode(text.as_bytes()) {
            Message::One(said) => said,
            Message::Batch(batch) => panic!("{batch:?} is a batch"),
        }
    }

    #[test]
    fn zero_is_an_id_and_none_or_null_makes_a_notification() {
        let params = json!([{"default": {}}]);
        let (method, zero) = ("kong.sync.v2.get_delta".to_owned(), Id::from(0));
        let text = |id: &str| {
            format!(
                r#"{{"jsonrpc":"2.0",{id}"method":"kong.sync.v2.get_delta","params":[{{"default":{{}}}}]}}"#
            )
        };
        let request = Said::Request {
            id: zero,
            method: method.clone(),
            params: params.clone(),
        };
        assert_eq!(one(&text(r#""id":0,"#)), request);
        let notification = Said::Notification { method, params };
        assert_eq!(one(&text("")), notification);
        assert_eq!(one(&text(r#""id":null,"#)), notification);
    }

    #[test]
    fn answers_are_told_from_calls() {
        assert_eq!(
            one(r#"{"jsonrpc":"2.0","id":1,"result":true}"#),
            Said::Answer(Ok(true.into()))
        );
        let error = RpcError::new(-32_000, "busy");
        let text = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"busy"}}"#;
        assert_eq!(one(text), Said::Answer(Err(error)));
    }

    #[test]
    fn what_is_no_call_says_why() {
        for (text, code) in [
            ("", PARSE_ERROR),
            ("{", PARSE_ERROR),
            (&"[".repeat(100_000), PARSE_ERROR),
            ("1", INVALID_REQUEST),
            ("[]", INVALID_REQUEST),
            (r#"{"id":1,"method":"m"}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, INVALID_REQUEST),
            (r#"{"jsonrpc":"2.0","id":[],"method":"m"}"#, INVALID_REQUEST),
        ] {
            assert!(
                matches!(one(text), Said::Invalid(_, error) if error.code == code),
                "{text:.40}"
            );
        }
        let endless = format!("[{}1]", "1,".repeat(BATCH_LIMIT));
        assert!(matches!(one(&endless), Said::Invalid(..)));
    }

    #[test]
    fn a_batch_is_read_one_by_one() {
        let Message::Batch(batch) = decode(br#"[{"jsonrpc":"2.0","method":"m"},7]"#) else {
            panic!("it is a batch");
        };
        assert!(matches!(
            &batch[..],
            [Said::Notification { .. }, Said::Invalid(..)]
        ));
    }

    #[test]
    fn what_is_written_is_json_rpc() {
        let id = Id::read("a\"b".into()).unwrap();
        for text in [
            request(3, "m", json!({"a": 1})),
            answer(&id, &json!({})),
            refusal(&Id::NONE, &RpcError::new(METHOD_NOT_FOUND, "no \"m\"")),
        ] {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["jsonrpc"], "2.0", "{text}");
        }
        assert_eq!(
            answer(&Id::from(0), &true.into()),
            r#"{"jsonrpc":"2.0","id":0,"result":true}"#
        );
    }
}
