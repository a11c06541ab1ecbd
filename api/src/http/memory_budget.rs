//! The memory of requests in flight is a budget. A body takes from it as it comes in, with what reading and deciding it will
//! take besides, and gives everything back when its request is answered.
//!
//! Nobody takes more than what is then left for the others: one caller alone gets half, the next one half of the rest. So there is
//! always some for who comes next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use domain::spawner::Share;

use super::refusal::Refusal;

/// How much memory a byte of a body takes until it is answered, on the whole.
const FACTOR: usize = 8;
/// After how many seconds who met a budget in use may ask again.
const RETRY_AFTER: u32 = 2;
/// How the setting is called.
const SETTING: &str = "--request-memory";

/// The budget.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    total: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    in_all: usize,
    by_share: HashMap<Share, usize>,
}

impl MemoryBudget {
    /// So many bytes for all requests together.
    pub(crate) fn new(total: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            used: Mutex::default(),
        })
    }

    /// A request that has taken nothing yet.
    pub(crate) fn request(self: &Arc<Self>, share: Share) -> Taken {
        Taken {
            budget: Arc::clone(self),
            share,
            bytes: 0,
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one request has taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    budget: Arc<MemoryBudget>,
    share: Share,
    bytes: usize,
}

impl Taken {
    /// Takes what so many more bytes of a body need.
    pub(crate) fn take_for(&mut self, body: usize) -> Result<(), Refusal> {
        let bytes = body * FACTOR;
        let total = self.budget.total;
        let mut used = self.budget.used();
        let in_all = used.in_all + bytes;
        let of_share = used.by_share.get(&self.share).copied().unwrap_or_default() + bytes;
        if of_share > total.saturating_sub(in_all) {
            drop(used);
            metrics::counter!("http_requests_over_budget_total").increment(1);
            return Err(self.over(self.bytes + bytes, of_share));
        }
        used.in_all = in_all;
        used.by_share.insert(self.share, of_share);
        self.bytes += bytes;
        Ok(())
    }

    /// Gives everything back: what came of the body is thrown away.
    pub(crate) fn give_back(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut used = self.budget.used();
        used.in_all -= bytes;
        if let Some(of_share) = used.by_share.get_mut(&self.share) {
            *of_share -= bytes;
            if *of_share == 0 {
                used.by_share.remove(&self.share);
            }
        }
    }

    fn over(&self, alone: usize, of_share: usize) -> Refusal {
        let total = self.budget.total;
        let mebibytes = total >> 20;
        if alone > total / 2 {
            let largest = total / 2 / FACTOR;
            let why = format!(
                "the body is larger than {largest} bytes, the most that one request may bring where {SETTING} is {mebibytes} MiB: send it in parts, or have {SETTING} raised"
            );
            return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, why);
        }
        let (status, whose) = match of_share > total / 2 {
            true => (StatusCode::TOO_MANY_REQUESTS, "your requests in flight take"),
            false => (StatusCode::SERVICE_UNAVAILABLE, "the requests in flight take"),
        };
        let why = format!(
            "{whose} too much of the memory for bodies ({SETTING}, {mebibytes} MiB): send fewer at once, or again later"
        );
        let mut refusal = Refusal::new(status, why);
        refusal.kind = Some("request-memory");
        refusal.retry_after = Some(RETRY_AFTER);
        refusal
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use domain::TokenId;
    use uuid::Uuid;

    use super::*;

    const TOTAL: usize = 1 << 20;

    fn share(number: u128) -> Share {
        Share::Token(TokenId(Uuid::from_u128(number)))
    }

    fn refused(taken: &mut Taken, body: usize) -> u16 {
        taken.take_for(body).unwrap_err().status.as_u16()
    }

    #[test]
    fn one_caller_gets_half_and_the_next_half_of_the_rest() {
        let budget = MemoryBudget::new(TOTAL);
        let (mut first, mut more) = (budget.request(share(1)), budget.request(share(1)));
        first.take_for(TOTAL / FACTOR / 2).unwrap();
        assert_eq!(refused(&mut more, 1), 429);
        let mut other = budget.request(share(2));
        other.take_for(TOTAL / FACTOR / 4).unwrap();
        assert_eq!(refused(&mut other, 1), 503);
        budget.request(share(3)).take_for(TOTAL / FACTOR / 8).unwrap();
        drop((first, other));
        more.take_for(TOTAL / FACTOR / 2).unwrap();
    }

    #[test]
    fn a_body_that_never_fits_is_too_large_by_name_of_the_setting() {
        let budget = MemoryBudget::new(TOTAL);
        let mut request = budget.request(share(1));
        let refusal = request.take_for(TOTAL).unwrap_err();
        assert_eq!(refusal.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(
            refusal.message.contains("--request-memory is 1 MiB"),
            "{}",
            refusal.message
        );
    }

    #[test]
    fn what_was_taken_is_given_back() {
        let budget = MemoryBudget::new(TOTAL);
        for _ in 0..100 {
            let mut request = budget.request(share(1));
            request.take_for(TOTAL / FACTOR / 2).unwrap();
        }
        assert_eq!(budget.used().in_all, 0);
        assert!(budget.used().by_share.is_empty());
    }
}
