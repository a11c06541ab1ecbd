//! Pages of lists as Kong cuts and writes them (`deck-go-kong.md` §5.2): `size`, an opaque `offset`, the path of the
//! next page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;

use super::endpoint::{Parameter, query};
use super::query::Query;
use super::refusal::Refusal;

/// The parameters of a page.
pub(crate) const PAGING: [Parameter; 2] = [
    query("size", "how many, 1 to 1000; 100 if not said"),
    query("offset", "where to go on: the `offset` of the page before"),
];

const SIZE: usize = 100;
const LARGEST: usize = 1000;

/// A page as Kong writes it.
#[derive(Default, Serialize)]
pub(crate) struct PageBody {
    /// The items' JSON texts.
    pub(crate) data: Vec<Box<RawValue>>,
    /// The path of the next page; null on the last one.
    pub(crate) next: Option<String>,
    /// What continues the list; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) offset: Option<String>,
}

impl PageBody {
    /// Says that the list goes on after `key`, at `path` with these parameters too.
    pub(crate) fn goes_on(&mut self, path: &str, key: &impl Serialize, parameters: &[(&str, &str)]) {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let token = BASE64.encode(json!(key).to_string());
        let mut next = format!("{path}?offset={}", escaped(&token));
        for (name, value) in parameters {
            next.push_str(&format!("&{name}={}", escaped(value)));
        }
        self.next = Some(next);
        self.offset = Some(token);
    }
}

/// How many items a page shall have.
pub(crate) fn size(query: &Query) -> Result<usize, Refusal> {
    let refused = |message: &str| {
        let refusal = Refusal::bad_request(message).coded(9, "invalid size");
        Err(refusal.with_fields(json!({ "size": message })))
    };
    match query.get("size") {
        None => Ok(SIZE),
        Some(text) => match text.parse::<f64>() {
            Err(_) => refused("size must be a number"),
            Ok(size) if size.fract() == 0.0 && (1.0..=LARGEST as f64).contains(&size) => Ok(size as usize),
            Ok(_) => refused("size must be an integer between 1 and 1000"),
        },
    }
}

/// The key after which a page begins, of whatever type the list's keys are.
pub(crate) fn offset<Key: DeserializeOwned>(query: &Query) -> Result<Option<Key>, Refusal> {
    let Some(text) = query.get("offset") else {
        return Ok(None);
    };
    let refused = |why: &str| {
        let message = format!("'{text}' is not a valid offset: {why}");
        let refusal = Refusal::bad_request(message.clone()).coded(7, "invalid offset");
        refusal.with_fields(json!({ "offset": message }))
    };
    let bytes = BASE64.decode(text).map_err(|_| refused("bad base64 encoding"))?;
    let key = serde_json::from_slice(&bytes).map_err(|_| refused("bad key"))?;
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use domain::EntityId;

    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).unwrap()
    }

    #[test]
    fn sizes_outside_1_to_1000_are_refused_in_kongs_words() {
        assert_eq!(size(&query("")).unwrap(), 100);
        assert_eq!(size(&query("size=1000")).unwrap(), 1000);
        assert_eq!(
            size(&query("size=x")).unwrap_err().message,
            "size must be a number"
        );
        for wrong in ["size=0", "size=1001", "size=1.5", "size=-1"] {
            let refusal = size(&query(wrong)).unwrap_err();
            assert_eq!(
                refusal.message, "size must be an integer between 1 and 1000",
                "{wrong}"
            );
            assert_eq!(refusal.code, Some((9, "invalid size")));
        }
    }

    #[test]
    fn an_offset_that_is_not_ours_is_refused() {
        for (text, why) in [("offset=%21", "bad base64 encoding"), ("offset=e30=", "bad key")] {
            let refusal = offset::<[EntityId; 1]>(&query(text)).unwrap_err();
            assert!(refusal.message.ends_with(why), "{}", refusal.message);
            assert_eq!(refusal.code, Some((7, "invalid offset")));
        }
    }

    #[test]
    fn the_next_page_begins_after_the_key_it_names() {
        let mut page = PageBody::default();
        page.goes_on("/tags", &["a/b", "x"], &[("size", "2")]);
        let text = page.next.unwrap();
        let (path, rest) = text.split_once('?').unwrap();
        assert_eq!(path, "/tags");
        assert_eq!(
            offset::<[String; 2]>(&query(rest)).unwrap().unwrap(),
            ["a/b", "x"]
        );
        assert_eq!(query(rest).get("size"), Some("2"));
    }
}
