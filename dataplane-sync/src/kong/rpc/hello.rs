//! The first messages on `/v2/outlet`, plain JSON: who an instance is and what both sides are capable of.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::json_rpc::{self, Id, Message, Said};
use super::{INSTANCE_MESSAGE_LIMIT, SYNC};

const METHOD: &str = "kong.meta.v1.hello";
const ENCODING: &str = "x-snappy-framed";

/// What an instance says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    id: Id,
    /// Its id, as it says.
    pub node: String,
    /// Its host's name, as it says.
    pub hostname: String,
    /// Its program's version, as it says.
    pub version: String,
    /// What it is capable of.
    pub capabilities: Vec<String>,
    /// Its settings.
    pub settings: Map<String, Value>,
}

/// A first message that isn't one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the first message must be a hello: {0}")]
pub struct NotHello(String);

#[derive(Deserialize)]
struct Params {
    #[serde(default)]
    rpc_capabilities: ListOrEmpty,
    #[serde(default)]
    rpc_frame_encodings: ListOrEmpty,
    kong_version: String,
    kong_hostname: String,
    kong_node_id: String,
    kong_conf: Map<String, Value>,
}

/// A list; Lua may write an empty one as an object.
#[derive(Deserialize)]
#[serde(untagged)]
enum ListOrEmpty {
    List(Vec<String>),
    Empty {},
}

impl Default for ListOrEmpty {
    fn default() -> Self {
        Self::Empty {}
    }
}

impl From<ListOrEmpty> for Vec<String> {
    fn from(list: ListOrEmpty) -> Self {
        match list {
            ListOrEmpty::List(list) => list,
            ListOrEmpty::Empty {} => Self::new(),
        }
    }
}

impl Hello {
    /// Reads it.
    ///
    /// # Errors
    /// [`NotHello`] says what doesn't fit.
    pub fn decode(bytes: &[u8]) -> Result<Self, NotHello> {
        if bytes.len() > INSTANCE_MESSAGE_LIMIT {
            return Err(NotHello(format!("{} bytes are too many", bytes.len())));
        }
        let (id, params) = match json_rpc::decode(bytes) {
            Message::One(Said::Request { id, method, params }) if method == METHOD => (id, params),
            Message::One(Said::Request { method, .. }) => {
                return Err(NotHello(format!("{method} is called")));
            }
            Message::One(Said::Invalid(_, error)) => return Err(NotHello(error.to_string())),
            _ => return Err(NotHello("it is no request".to_owned())),
        };
        let [params]: [Params; 1] =
            serde_json::from_value(params).map_err(|error| NotHello(error.to_string()))?;
        let encodings: Vec<_> = params.rpc_frame_encodings.into();
        if !encodings.iter().any(|encoding| encoding == ENCODING) {
            return Err(NotHello(format!("it doesn't know the encoding {ENCODING}")));
        }
        Ok(Self {
            id,
            node: params.kong_node_id,
            hostname: params.kong_hostname,
            version: params.kong_version,
            capabilities: params.rpc_capabilities.into(),
            settings: params.kong_conf,
        })
    }

    /// Whether it can take its configuration here.
    pub fn offers_sync(&self) -> bool {
        self.capabilities.iter().any(|capability| capability == SYNC)
    }

    /// What its operator says of it: `cluster_dp_labels`, each `key:value`.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.texts("cluster_dp_labels").into_iter();
        let labels = labels.filter_map(|label| label.split_once(':'));
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        labels.collect()
    }

    /// The plugins it is told to load: `bundled` stands for all that come with its version.
    pub fn plugins(&self) -> Vec<&str> {
        self.texts("plugins")
    }

    fn texts(&self, setting: &str) -> Vec<&str> {
        let texts = self.settings.get(setting).and_then(Value::as_array);
        texts.into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// The answer. Without sync the instance goes on to `/v1/outlet`.
    pub fn answer(&self, sync: bool) -> String {
        let capabilities: &[&str] = if sync { &[SYNC] } else { &[] };
        let result = json!({"rpc_capabilities": capabilities, "rpc_frame_encoding": ENCODING});
        json_rpc::answer(&self.id, &result)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What an instance says that is capable of so much.
    pub(in super::super) fn hello(version: &str, capabilities: Value) -> Vec<u8> {
        let hello = json!({"jsonrpc": "2.0", "id": 1, "method": METHOD, "params": [{
            "rpc_capabilities": capabilities,
            "rpc_frame_encodings": [ENCODING],
            "kong_version": version,
            "kong_hostname": "edge-1",
            "kong_node_id": "1ab4b1c6-5b1a-4a52-9f43-6d6e0a6b1c11",
            "kong_conf": {"cluster_max_payload": 16_777_216, "cluster_dp_labels": ["region:eu", "odd"], "plugins": ["bundled", "own"]},
        }]});
        hello.to_string().into_bytes()
    }

    #[test]
    fn an_instance_introduces_itself() {
        let hello = Hello::decode(&hello("3.10.0", json!([SYNC]))).unwrap();
        assert_eq!((&*hello.version, &*hello.hostname), ("3.10.0", "edge-1"));
        assert!(hello.offers_sync());
        assert_eq!(
            hello.labels(),
            BTreeMap::from([("region".to_owned(), "eu".to_owned())])
        );
        assert_eq!(hello.plugins(), ["bundled", "own"]);
        let expected = r#"{"jsonrpc":"2.0","id":1,"result":{"rpc_capabilities":["kong.sync.v2"],"rpc_frame_encoding":"x-snappy-framed"}}"#;
        assert_eq!(hello.answer(true), expected);
        assert_eq!(hello.answer(false), expected.replace(r#""kong.sync.v2""#, ""));
    }

    #[test]
    fn an_instance_may_be_capable_of_nothing() {
        for nothing in [json!([]), json!({}), json!(["kong.debug.v1"])] {
            assert!(!Hello::decode(&hello("3.9.1", nothing)).unwrap().offers_sync());
        }
    }

    #[test]
    fn anything_else_is_no_hello() {
        let other = String::from_utf8(hello("3.10.0", json!([]))).unwrap();
        for text in [
            "",
            "{}",
            "[]",
            &other.replace("hello", "bye"),
            &other.replace("snappy", "zstd"),
            &other.replace("kong_node_id", "node"),
            &other.replace(r#""id":1,"#, ""),
            &format!("[{other}]"),
        ] {
            assert!(Hello::decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
