//! Pages of our own lists: `page[number]`, `page[size]`, `{data, meta: {page}}`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};

use super::endpoint::{Parameter, query};
use super::query::Query;
use super::refusal::Refusal;

/// The parameters of a paged list.
pub(crate) const PAGE: [Parameter; 2] = [
    query("page[number]", "which page, from 1"),
    query("page[size]", "how many on a page, 1 to 1000; 100 if not said"),
];

/// The most that a page may have.
pub(crate) const LARGEST: u64 = 1000;

/// Where a list goes on.
pub(crate) const AFTER: [Parameter; 1] = [query(
    "page[after]",
    "go on after another page: its `meta.page.next`, which is null on the last one",
)];

/// What says where a list goes on: opaque to those who send it back.
pub(crate) fn cursor(place: u64) -> String {
    BASE64.encode(place.to_string())
}

/// Where a list shall go on; none from its beginning.
pub(crate) fn after(query: &Query) -> Result<Option<u64>, Refusal> {
    let read = |text: &str| {
        let bytes = BASE64.decode(text).ok()?;
        std::str::from_utf8(&bytes).ok()?.parse().ok()
    };
    let wrong = || Refusal::invalid("page[after]", "pattern", "must be a page's `meta.page.next`");
    let after = query.get("page[after]");
    after.map(|text| read(text).ok_or_else(wrong)).transpose()
}

/// Which part of a list is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// From 1.
    pub(crate) number: u64,
    /// 1 to 1000.
    pub(crate) size: u64,
}

impl Page {
    /// What the query asks for.
    pub(crate) fn of(query: &Query) -> Result<Self, Refusal> {
        let number = query.number("page[number]")?.unwrap_or(1);
        let size = query.number("page[size]")?.unwrap_or(100);
        if number == 0 {
            return Err(Refusal::invalid(
                "page[number]",
                "min",
                "pages are counted from 1",
            ));
        }
        if !(1..=LARGEST).contains(&size) {
            return Err(Refusal::invalid("page[size]", "max", "must be 1 to 1000"));
        }
        Ok(Self { number, size })
    }

    /// How many items stand before it.
    pub(crate) const fn skipped(self) -> u64 {
        (self.number - 1).saturating_mul(self.size)
    }

    /// This page of a whole list.
    pub(crate) fn cut<Item>(self, items: Vec<Item>) -> Vec<Item> {
        let skipped = usize::try_from(self.skipped()).unwrap_or(usize::MAX);
        items.into_iter().skip(skipped).take(self.size as usize).collect()
    }

    /// The answer's body where nobody counts the whole list, and where the list goes on.
    pub(crate) fn uncounted(self, data: Vec<Value>, next: Option<u64>) -> Value {
        json!({ "data": data, "meta": { "page": { "size": self.size, "next": next.map(cursor) } } })
    }

    /// The answer's body.
    pub(crate) fn envelope(self, data: Vec<Value>, total: u64) -> Value {
        json!({
            "data": data,
            "meta": { "page": { "number": self.number, "size": self.size, "total": total } },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_where_its_cursor_says_and_nobody_elses() {
        let query = |text: &str| Query::parse(&format!("page[after]={text}")).unwrap();
        assert_eq!(after(&query(&cursor(12))).unwrap(), Some(12));
        assert_eq!(after(&Query::default()).unwrap(), None);
        for garbled in ["", "12", "x y"] {
            assert!(after(&query(garbled)).is_err(), "{garbled}");
        }
    }
}
