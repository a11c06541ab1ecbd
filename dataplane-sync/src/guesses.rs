//! Who guesses is slowed: an address that has shown many tokens which open nothing is refused without a look at what it shows, until
//! it rests. Tokens that were good here before go on working from there, so that nobody is locked out by a neighbour.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::places::Source;
use domain::rate::{Rate, Rates};
use domain::token::{self, TokenHash};
use tokio::time::Instant;

/// How many good tokens are remembered.
const GOOD: usize = 20_000;

/// Who has shown what of late.
#[derive(Debug)]
pub struct Guesses {
    started: Instant,
    rates: Mutex<Rates<Source>>,
    good: Mutex<HashMap<TokenHash, Instant>>,
}

impl Guesses {
    /// So often an address may show tokens that open nothing.
    pub fn new(rate: Rate) -> Self {
        Self {
            started: Instant::now(),
            rates: Mutex::new(Rates::new(rate)),
            good: Mutex::default(),
        }
    }

    /// Whether what is shown from an address may be looked up; refused with the seconds to wait.
    pub fn may_show(&self, address: IpAddr, shown: Option<&str>) -> Result<(), u64> {
        let Some(hash) = read(shown) else {
            // Nothing that could open anything: it costs nothing to say so.
            return Ok(());
        };
        let checked = lock(&self.rates).check(&Source::of(address), self.started.elapsed());
        match checked {
            Err(wait) if !lock(&self.good).contains_key(&hash) => Err(wait.as_secs() + 1),
            _ => Ok(()),
        }
    }

    /// What was shown opened something.
    pub fn was_good(&self, shown: Option<&str>) {
        let Some(hash) = read(shown) else {
            return;
        };
        let (mut good, now) = (lock(&self.good), Instant::now());
        if good.len() >= GOOD && !good.contains_key(&hash) {
            let mut times: Vec<Instant> = good.values().copied().collect();
            let half = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(half);
            let median = *median;
            good.retain(|_, seen| *seen > median);
        }
        good.insert(hash, now);
    }

    /// What was shown opened nothing.
    pub fn was_no_good(&self, address: IpAddr, shown: Option<&str>) {
        let Some(hash) = read(shown) else {
            return;
        };
        lock(&self.good).remove(&hash);
        // Beyond the rate nothing is counted: whoever goes on hears that until it rests.
        let _ = lock(&self.rates).take(&Source::of(address), self.started.elapsed());
    }
}

fn read(shown: Option<&str>) -> Option<TokenHash> {
    token::read(shown?).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::token::Role;

    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn token(seed: u8) -> String {
        token::write(Role::Viewer, [seed; 32]).expose().to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_guesses_is_slowed_and_good_tokens_work_from_there() {
        let guesses = Guesses::new(Rate {
            per_second: 1,
            burst: 100,
        });
        let (good, bad) = (token(1), token(2));
        guesses.was_good(Some(&good));
        let guess = || {
            let may = guesses.may_show(HERE, Some(&bad)).is_ok();
            if may {
                guesses.was_no_good(HERE, Some(&bad));
            }
            may
        };
        assert_eq!((0..1_000).filter(|_| guess()).count(), 100);
        assert!(guesses.may_show(HERE, Some(&good)).is_ok(), "it was good before");
        assert!(guesses.may_show(ELSEWHERE, Some(&bad)).is_ok());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((0..1_000).filter(|_| guess()).count(), 1);
    }
}
