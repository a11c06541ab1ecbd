//! How often somebody may do something: so many times a second in the long run, and some more at once.
//!
//! Times are durations since a moment of the caller's choice, by a clock that never jumps.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// How many are remembered at once; of more, those that have been still for the longest are forgotten.
const REMEMBERED: usize = 20_000;

/// A rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In the long run; 0: as often as one likes.
    pub per_second: u32,
    /// At once, after a rest.
    pub burst: u32,
}

impl Rate {
    /// Without a limit.
    pub const UNLIMITED: Self = Self {
        per_second: 0,
        burst: 0,
    };

    fn interval(self) -> Duration {
        Duration::from_secs(1)
            .checked_div(self.per_second)
            .unwrap_or_default()
    }
}

/// Who did something how often.
#[derive(Debug)]
pub struct Rates<Key> {
    rate: Rate,
    /// By when everything that was done would have been done at the rate.
    paid_until: HashMap<Key, Duration>,
}

impl<Key: Clone + Eq + Hash> Rates<Key> {
    /// Nobody has done anything yet.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            paid_until: HashMap::new(),
        }
    }

    /// Counts one more time; refused with how long to wait.
    pub fn take(&mut self, key: &Key, now: Duration) -> Result<(), Duration> {
        self.check(key, now)?;
        if self.rate.per_second == 0 {
            return Ok(());
        }
        if self.paid_until.len() >= REMEMBERED && !self.paid_until.contains_key(key) {
            self.forget_some(now);
        }
        let paid = self.paid_until.entry(key.clone()).or_insert(now);
        *paid = now.max(*paid) + self.rate.interval();
        Ok(())
    }

    /// Whether one more time would be allowed; it isn't counted.
    pub fn check(&self, key: &Key, now: Duration) -> Result<(), Duration> {
        if self.rate.per_second == 0 {
            return Ok(());
        }
        let paid = self.paid_until.get(key).copied().unwrap_or(now);
        let ahead = self.rate.interval() * self.rate.burst.max(1);
        let next = paid.max(now) + self.rate.interval();
        match next.checked_sub(now + ahead) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// Forgets who has rested; if nobody has, who has the least to pay for.
    fn forget_some(&mut self, now: Duration) {
        self.paid_until.retain(|_, paid| *paid > now);
        if self.paid_until.len() < REMEMBERED {
            return;
        }
        let mut paid: Vec<Duration> = self.paid_until.values().copied().collect();
        let half = paid.len() / 2;
        let (_, median, _) = paid.select_nth_unstable(half);
        let median = *median;
        self.paid_until.retain(|_, paid| *paid > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let mut rates = Rates::new(Rate {
            per_second: 10,
            burst: 3,
        });
        for _ in 0..3 {
            assert_eq!(rates.take(&"a", millis(1_000)), Ok(()));
        }
        assert_eq!(rates.take(&"a", millis(1_000)), Err(millis(100)));
        assert_eq!(rates.take(&"b", millis(1_000)), Ok(()), "others have their own");
        assert_eq!(rates.take(&"a", millis(1_100)), Ok(()));
        assert_eq!(rates.take(&"a", millis(1_150)), Err(millis(50)));
        for _ in 0..3 {
            assert_eq!(rates.take(&"a", millis(9_000)), Ok(()), "after a rest");
        }
        assert!(rates.take(&"a", millis(9_000)).is_err());
    }

    #[test]
    fn asking_counts_nothing() {
        let mut rates = Rates::new(Rate {
            per_second: 1,
            burst: 1,
        });
        for _ in 0..5 {
            assert_eq!(rates.check(&"a", millis(0)), Ok(()));
        }
        assert_eq!(rates.take(&"a", millis(0)), Ok(()));
        assert!(rates.check(&"a", millis(0)).is_err());
    }

    #[test]
    fn without_a_limit_nobody_waits_and_nothing_is_remembered() {
        let mut rates = Rates::new(Rate::UNLIMITED);
        for _ in 0..1_000 {
            assert_eq!(rates.take(&"a", millis(0)), Ok(()));
        }
        assert!(rates.paid_until.is_empty());
    }

    #[test]
    fn a_crowd_of_names_is_not_remembered_for_ever() {
        let mut rates = Rates::new(Rate {
            per_second: 1,
            burst: 5,
        });
        for name in 0..3 * REMEMBERED {
            assert_eq!(rates.take(&name, millis(0)), Ok(()));
            assert!(rates.paid_until.len() <= REMEMBERED);
        }
    }
}
