//! What waits to be computed, and whose turn it is.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use domain::spawner::{Share, Work};
use tokio::sync::Semaphore;

use super::Overloaded;

/// How many requests of one share may wait to be begun.
const WAITING_OF_A_SHARE: usize = 64;
/// How many of all.
const WAITING: usize = 1_024;

struct Account {
    waiting: VecDeque<Work>,
    running: usize,
    /// Requests that haven't ended.
    requests: usize,
    /// Those of them that haven't begun.
    unbegun: usize,
    /// For those that have.
    places: Arc<Semaphore>,
}

/// The queue. Shares with something to do stand in a circle.
pub(super) struct Queue {
    accounts: HashMap<Share, Account>,
    /// Shares that have work waiting, the next one first.
    turns: VecDeque<Share>,
    /// How many threads one share may have at once. Twice as many of its requests may be under way: what one holds while it waits
    /// for its turn (a connection to the database, its memory) is kept from others.
    per_share: usize,
    waiting: usize,
    unbegun: usize,
    threads: usize,
    idle: usize,
    ended: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Queue")
            .field("shares", &self.accounts.len())
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl Queue {
    /// Nothing waits. A share gets a quarter of the threads, at least one.
    pub(super) fn new(threads: usize) -> Self {
        Self {
            accounts: HashMap::new(),
            turns: VecDeque::new(),
            per_share: (threads / 4).max(1),
            waiting: 0,
            unbegun: 0,
            threads: 0,
            idle: 0,
            ended: false,
        }
    }

    pub(super) fn push(&mut self, share: Share, work: Work) {
        if self.ended {
            return;
        }
        self.waiting += 1;
        let account = self.account(share);
        account.waiting.push_back(work);
        if account.waiting.len() == 1 {
            self.turns.push_back(share);
        }
    }

    /// The next piece of work, of the first share in the circle that may have one more thread.
    pub(super) fn pop(&mut self) -> Option<(Share, Work)> {
        let may_run = |share: &Share| {
            let account = self.accounts.get(share);
            account.is_some_and(|account| account.running < self.per_share)
        };
        let index = self.turns.iter().position(may_run)?;
        let share = self.turns.remove(index)?;
        let account = self.accounts.get_mut(&share)?;
        let work = account.waiting.pop_front()?;
        account.running += 1;
        self.waiting -= 1;
        if !account.waiting.is_empty() {
            self.turns.push_back(share);
        }
        Some((share, work))
    }

    /// A piece of work is done.
    pub(super) fn done(&mut self, share: Share) {
        if let Some(account) = self.accounts.get_mut(&share) {
            account.running -= 1;
        }
        self.forget(share);
    }

    /// A request wants to be begun. It begins with one of the share's places, which it keeps until it ends.
    pub(super) fn admit(&mut self, share: Share) -> Result<Arc<Semaphore>, Overloaded> {
        if self.ended {
            return Err(Overloaded::Ending);
        }
        if self.unbegun >= WAITING {
            return Err(Overloaded::Everybody);
        }
        let account = self.account(share);
        if account.unbegun >= WAITING_OF_A_SHARE {
            return Err(Overloaded::Share);
        }
        account.requests += 1;
        account.unbegun += 1;
        let places = Arc::clone(&account.places);
        self.unbegun += 1;
        Ok(places)
    }

    /// A request has begun, or never will.
    pub(super) fn begun(&mut self, share: Share) {
        self.unbegun -= 1;
        if let Some(account) = self.accounts.get_mut(&share) {
            account.unbegun -= 1;
        }
    }

    /// A request has ended.
    pub(super) fn ended(&mut self, share: Share) {
        if let Some(account) = self.accounts.get_mut(&share) {
            account.requests -= 1;
        }
        self.forget(share);
    }

    /// Drops what waits; nothing is taken any more.
    pub(super) fn end(&mut self) {
        self.ended = true;
        for (_, account) in self.accounts.drain() {
            account.places.close();
        }
        self.turns.clear();
        self.waiting = 0;
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether one more thread is to be started for what waits; it is counted then.
    pub(super) const fn wants_a_thread(&mut self, at_most: usize) -> bool {
        let wants = !self.ended && self.idle < self.waiting && self.threads < at_most;
        if wants {
            self.threads += 1;
        }
        wants
    }

    pub(super) const fn thread_failed(&mut self) {
        self.threads -= 1;
    }

    pub(super) const fn idle(&mut self) {
        self.idle += 1;
    }

    pub(super) const fn awake(&mut self) {
        self.idle -= 1;
    }

    fn account(&mut self, share: Share) -> &mut Account {
        let places = self.per_share * 2;
        self.accounts.entry(share).or_insert_with(|| Account {
            waiting: VecDeque::new(),
            running: 0,
            requests: 0,
            unbegun: 0,
            places: Arc::new(Semaphore::new(places)),
        })
    }

    fn forget(&mut self, share: Share) {
        let done =
            |account: &Account| account.running == 0 && account.requests == 0 && account.waiting.is_empty();
        if self.accounts.get(&share).is_some_and(done) {
            self.accounts.remove(&share);
        }
    }
}
