//! Pages of our own lists: `page[number]`, `page[size]`, `{data, meta: {page}}`.

use serde_json::{Value, json};

use super::endpoint::{Parameter, query};
use super::query::Query;
use super::refusal::Refusal;

/// The parameters of a paged list.
pub(crate) const PAGE: [Parameter; 2] = [
    query("page[number]", "which page, from 1"),
    query("page[size]", "how many on a page, 1 to 1000; 100 if not said"),
];

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
        if !(1..=1000).contains(&size) {
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

    /// The answer's body.
    pub(crate) fn envelope(self, data: Vec<Value>, total: u64) -> Value {
        json!({
            "data": data,
            "meta": { "page": { "number": self.number, "size": self.size, "total": total } },
        })
    }
}
