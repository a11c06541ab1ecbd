//! Deciding: every waiting command on a scratch state that sees those before it, their changes collected for one commit.

use std::collections::VecDeque;

use domain::gateway::{Accepted, CommandError};
use domain::schema::CATALOGUE_REVISION;
use domain::{Cause, Change, Clock, Context, Position, Timestamp, Version};

use super::request::{Answer, Request};
use crate::aggregate::{Aggregate, Decided};
use crate::entropy;

/// How many changes one commit carries at most.
const CHANGES: usize = 1_024;
/// How many bytes of changes, by estimate, one commit carries at most; a bigger change travels alone.
const BYTES: usize = 800 * 1024;
/// What an event takes beside its body, and a change beside its events, in bytes.
const OVERHEAD: usize = 512;

/// Commands decided together: what becomes of them depends on one commit.
pub(crate) struct Batch<A: Aggregate> {
    /// The state with the batch's changes.
    pub(crate) scratch: A,
    /// The changes to commit, in order.
    pub(crate) changes: Vec<Change<A::Event>>,
    /// Every command decided, in order.
    pub(crate) decided: Vec<(Request<A>, Verdict<A>)>,
    size: usize,
}

/// What was decided about a command, if the batch becomes durable.
pub(crate) enum Verdict<A: Aggregate> {
    /// It is one of the changes.
    Changed(Told<A>),
    /// It was so already.
    Unchanged(Told<A>),
    /// It is an earlier request come again.
    Replayed(Told<A>),
    /// It was refused.
    Refused(CommandError),
}

/// What an accepted command's caller is told.
pub(crate) struct Told<A: Aggregate> {
    version: Version,
    at: Timestamp,
    outcome: A::Outcome,
}

impl<A: Aggregate> Verdict<A> {
    /// The answer, once the boundary's newest commit stands at this position.
    pub(crate) fn answer(self, position: Position) -> Answer<A> {
        let (told, changed, replayed) = match self {
            Self::Changed(told) => (told, true, false),
            Self::Unchanged(told) => (told, false, false),
            Self::Replayed(told) => (told, false, true),
            Self::Refused(error) => return Err(error),
        };
        Ok(Accepted {
            version: told.version,
            at: told.at,
            position,
            changed,
            replayed,
            outcome: told.outcome,
        })
    }

    /// Its name in metrics.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Changed(_) => "changed",
            Self::Unchanged(_) => "unchanged",
            Self::Replayed(_) => "replayed",
            Self::Refused(_) => "refused",
        }
    }
}

impl<A: Aggregate> Batch<A> {
    /// Decides what waits, until one commit is full.
    pub(crate) fn decide(state: &A, waiting: &mut VecDeque<Request<A>>, clock: &dyn Clock) -> Self {
        let mut batch = Self {
            scratch: state.clone(),
            changes: Vec::new(),
            decided: Vec::new(),
            size: 0,
        };
        while batch.changes.len() < CHANGES && batch.size < BYTES {
            let Some(request) = waiting.pop_front() else {
                break;
            };
            if !request.take() {
                continue;
            }
            if let Some(request) = batch.add(request, clock) {
                waiting.push_front(request);
                break;
            }
        }
        batch
    }

    /// About how many bytes its changes take.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// Decides one command; gives it back if its change doesn't fit this commit any more.
    fn add(&mut self, request: Request<A>, clock: &dyn Clock) -> Option<Request<A>> {
        if let Some(verdict) = self.replay(&request.cause) {
            self.decided.push((request, verdict));
            return None;
        }
        let mut context = Context::new(clock.now(), entropy::seed());
        let verdict = match self.scratch.decide(&request.command, &mut context) {
            Err(error) => Verdict::Refused(error),
            Ok(Decided { events, told }) if events.is_empty() => Verdict::Unchanged(self.told(told)),
            Ok(Decided { events, told }) => {
                let size = events
                    .iter()
                    .fold(OVERHEAD, |size, event| size + OVERHEAD + A::size(event));
                if !self.changes.is_empty() && self.size + size > BYTES {
                    request.stage.put_back();
                    return Some(request);
                }
                self.size += size;
                let moment = (context.at.max(self.scratch.at()), context.at);
                let change = change(self.scratch.version() + 1, moment, &request.cause, events);
                self.scratch.apply(&change);
                self.changes.push(change);
                Verdict::Changed(self.told(told))
            }
        };
        self.decided.push((request, verdict));
        None
    }

    /// What an earlier change with the same idempotency key makes of a command.
    fn replay(&self, cause: &Cause) -> Option<Verdict<A>> {
        let idempotency = cause.idempotency.as_ref()?;
        let earlier = self.scratch.recall(&cause.actor, &idempotency.key)?;
        if earlier.request != idempotency.request {
            let version = earlier.version;
            return Some(Verdict::Refused(CommandError::IdempotencyMismatch { version }));
        }
        Some(Verdict::Replayed(Told {
            version: earlier.version,
            at: earlier.at,
            outcome: earlier.outcome,
        }))
    }

    fn told(&self, told: A::Told) -> Told<A> {
        Told {
            version: self.scratch.version(),
            at: self.scratch.at(),
            outcome: self.scratch.outcome(told),
        }
    }
}

/// The moment is a time in the order of changes and one by the clock.
fn change<E>(
    version: Version,
    (at, clock): (Timestamp, Timestamp),
    cause: &Cause,
    events: Vec<E>,
) -> Change<E> {
    Change {
        version,
        at,
        clock,
        actor: cause.actor.clone(),
        reason: cause.reason.clone(),
        request_id: cause.request_id,
        source: cause.source.clone(),
        idempotency: cause.idempotency.clone(),
        catalogue: CATALOGUE_REVISION,
        events,
    }
}
