//! How many requests a token and an address may send, and how often an address may show tokens that open nothing.
//!
//! What is refused is said once a minute for each source, and counted.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use dataplane_sync::guesses::Guesses;
use domain::TokenId;
use domain::places::Source;
use domain::rate::{Rate, Rates};
use tokio::time::Instant;
use tracing::warn;

use super::refusal::Refusal;

/// How often an address may show tokens that open nothing.
const GUESSES: Rate = Rate {
    per_second: 1,
    burst: 100,
};
/// How long the same source isn't named again.
const QUIET: Duration = Duration::from_secs(60);
/// How many sources are named in that time; of more, nothing is said.
const NAMED: usize = 1_024;
/// How long the refusal of a request too many is held back: who asks again at once, whatever the answer, costs the others little.
const HELD_BACK: Duration = Duration::from_millis(500);

/// How many requests may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRates {
    /// With one token.
    pub per_token: Rate,
    /// From one address.
    pub per_address: Rate,
}

/// Who sent how many of late.
#[derive(Debug)]
pub(crate) struct Counted {
    started: Instant,
    tokens: Mutex<Rates<TokenId>>,
    addresses: Mutex<Rates<Source>>,
    guesses: Guesses,
    refused: Mutex<HashMap<Source, Refused>>,
}

#[derive(Debug)]
struct Refused {
    said: Instant,
    since: u64,
}

impl Counted {
    /// Nobody has sent anything yet.
    pub(crate) fn new(rates: RequestRates) -> Self {
        Self {
            started: Instant::now(),
            tokens: Mutex::new(Rates::new(rates.per_token)),
            addresses: Mutex::new(Rates::new(rates.per_address)),
            guesses: Guesses::new(GUESSES),
            refused: Mutex::default(),
        }
    }

    /// One more request from an address.
    pub(crate) fn sent_from(&self, address: IpAddr) -> Result<(), Refusal> {
        let taken = lock(&self.addresses).take(&Source::of(address), self.started.elapsed());
        taken.map_err(|wait| too_many("from this address", wait))
    }

    /// One more request with a token.
    pub(crate) fn sent_with(&self, token: TokenId) -> Result<(), Refusal> {
        let taken = lock(&self.tokens).take(&token, self.started.elapsed());
        taken.map_err(|wait| too_many("with this token", wait))
    }

    /// Whether a token may be looked up that is shown from an address.
    pub(crate) fn may_show(&self, address: IpAddr, token: &str) -> Result<(), Refusal> {
        let may = self.guesses.may_show(address, Some(token));
        may.map_err(|seconds| {
            let wait = Duration::from_secs(seconds - 1);
            let mut refusal = too_many("with tokens that open nothing, from this address", wait);
            refusal.kind = Some("guessing");
            refusal
        })
    }

    /// A token was good.
    pub(crate) fn was_good(&self, token: &str) {
        self.guesses.was_good(Some(token));
    }

    /// A token that could have been one opened nothing.
    pub(crate) fn was_no_good(&self, address: IpAddr, token: &str) {
        self.guesses.was_no_good(address, Some(token));
    }

    /// Says that a sign-in was refused, once a minute for each source, and counts it.
    pub(crate) fn sign_in_refused(&self, address: Option<IpAddr>, reason: &str) {
        metrics::counter!("http_sign_ins_refused_total").increment(1);
        let Some(source) = address.map(Source::of) else {
            return;
        };
        let (mut refused, now) = (lock(&self.refused), Instant::now());
        if let Some(known) = refused.get_mut(&source)
            && now.duration_since(known.said) < QUIET
        {
            known.since += 1;
            return;
        }
        let unsaid = refused.remove(&source).map_or(0, |known| known.since);
        if refused.len() >= NAMED {
            refused.retain(|_, known| now.duration_since(known.said) < QUIET);
            if refused.len() >= NAMED {
                return;
            }
        }
        refused.insert(source, Refused { said: now, since: 0 });
        drop(refused);
        warn!(%source, reason, unsaid, "a sign-in was refused; this source isn't named again for a minute");
    }
}

fn too_many(whose: &str, wait: Duration) -> Refusal {
    metrics::counter!("http_requests_throttled_total").increment(1);
    let seconds = u32::try_from(wait.as_secs())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let why = format!("too many requests {whose}: send the next one in {seconds} s");
    let mut refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, why);
    refusal.retry_after = Some(seconds);
    refusal.held_back = HELD_BACK;
    refusal
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted() -> Counted {
        Counted::new(RequestRates {
            per_token: Rate {
                per_second: 1,
                burst: 2,
            },
            per_address: Rate::UNLIMITED,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_too_many_hears_when_to_go_on() {
        let counted = counted();
        let token = TokenId(uuid::Uuid::from_u128(1));
        counted.sent_with(token).unwrap();
        counted.sent_with(token).unwrap();
        let refusal = counted.sent_with(token).unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.retry_after), (429, Some(2)));
        tokio::time::advance(Duration::from_secs(1)).await;
        counted.sent_with(token).unwrap();
    }
}
