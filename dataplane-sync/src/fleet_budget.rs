//! What one credential's instances may have kept within an hour: whoever has the credential of one instance may claim to
//! be any number of them. Counted by each process for itself.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many instances that weren't known a credential may bring within an hour unless told otherwise: a large fleet that
/// comes anew, several times.
pub const NEW_NODES_PER_HOUR: u32 = 10_000;
/// How many admissions of one credential become events within an hour; others do when they come again later.
const ADMISSIONS: u32 = 256;
/// How many refusals of one credential become events within an hour.
const REFUSALS: u32 = 32;
const HOUR: Duration = Duration::from_secs(3600);
/// From so many credentials on, those whose hour is over are looked for.
const TIDY_FROM: usize = 1_024;

/// What a credential spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expense {
    /// An instance that isn't known.
    NewNode,
    /// An admission that becomes an event.
    Admission,
    /// A refusal that becomes an event.
    Refusal,
}

/// An instance that isn't taken: too many unknown ones came with its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {0} instances that weren't known came with this credential within an hour: keep instances' ids over their restarts, use several credentials, or raise --new-nodes-per-hour"
)]
pub(crate) struct TooManyNewNodes(pub(crate) u32);

#[derive(Clone, Copy, Debug)]
struct Spent {
    since: Instant,
    amounts: [u32; 3],
}

/// The accounts of all credentials.
#[derive(Debug)]
pub struct FleetBudget {
    new_nodes: u32,
    accounts: Mutex<HashMap<String, Spent>>,
}

impl FleetBudget {
    /// One that lets each credential bring so many unknown instances within an hour.
    pub fn new(new_nodes_per_hour: u32) -> Self {
        Self {
            new_nodes: new_nodes_per_hour,
            accounts: Mutex::default(),
        }
    }

    /// How much a credential may spend within an hour.
    pub(crate) const fn limit(&self, expense: Expense) -> u32 {
        match expense {
            Expense::NewNode => self.new_nodes,
            Expense::Admission => ADMISSIONS,
            Expense::Refusal => REFUSALS,
        }
    }

    /// Whether there is nothing left.
    pub(crate) fn is_spent(&self, account: &str, expense: Expense) -> bool {
        let accounts = self.accounts();
        let spent = accounts.get(account).filter(|spent| spent.since.elapsed() < HOUR);
        spent.is_some_and(|spent| spent.amounts[expense as usize] >= self.limit(expense))
    }

    /// Spends one, if it is left; says whether it was.
    pub(crate) fn spend(&self, account: &str, expense: Expense) -> bool {
        let mut accounts = self.accounts();
        if accounts.len() >= TIDY_FROM && !accounts.contains_key(account) {
            accounts.retain(|_, spent| spent.since.elapsed() < HOUR);
        }
        let new = Spent {
            since: Instant::now(),
            amounts: [0; 3],
        };
        let spent = accounts.entry(account.to_owned()).or_insert(new);
        if spent.since.elapsed() >= HOUR {
            *spent = new;
        }
        let amount = &mut spent.amounts[expense as usize];
        let left = *amount < self.limit(expense);
        *amount += u32::from(left);
        left
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<String, Spent>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_credential_has_so_much_in_each_hour_and_others_have_their_own() {
        let budget = FleetBudget::new(3);
        let spent = |account| (0..5).filter(|_| budget.spend(account, Expense::NewNode)).count();
        assert_eq!(spent("one"), 3);
        assert!(budget.is_spent("one", Expense::NewNode));
        assert!(!budget.is_spent("one", Expense::Refusal));
        assert_eq!(spent("another"), 3);
        tokio::time::advance(HOUR).await;
        assert!(!budget.is_spent("one", Expense::NewNode));
        assert_eq!(spent("one"), 3);
    }
}
