//! What waits in a writer's mailbox, and whose turn it is when a caller runs out of time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use domain::Cause;
use domain::gateway::{Accepted, CommandError};
use tokio::sync::oneshot;

use super::Durable;
use crate::aggregate::Aggregate;

/// What a caller of a command gets.
pub(crate) type Answer<A> = Result<Accepted<<A as Aggregate>::Outcome>, CommandError>;

/// What a caller that wants a boundary's state gets.
pub(crate) type StateAnswer<A> = Result<Arc<Durable<A>>, CommandError>;

/// A message to a writer.
pub(crate) enum Message<A: Aggregate> {
    /// Decide this command.
    Command(Request<A>),
    /// Tell the state with everything that was durable when this was sent.
    Refresh(oneshot::Sender<StateAnswer<A>>),
}

/// A command that waits to be decided.
pub(crate) struct Request<A: Aggregate> {
    /// What is asked.
    pub(crate) command: A::Command,
    /// By whom and why.
    pub(crate) cause: Cause,
    /// How far it has come.
    pub(crate) stage: Arc<Stage>,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<Answer<A>>,
}

impl<A: Aggregate> Request<A> {
    /// Whether the writer may decide it: its caller hasn't given up.
    pub(crate) fn take(&self) -> bool {
        !self.answer.is_closed() && self.stage.take()
    }

    /// Answers the caller, who may have left.
    pub(crate) fn reply(self, answer: Answer<A>) {
        let _ = self.answer.send(answer);
    }
}

/// Whose turn a command is: a caller past its deadline may only say "nothing was changed" if the writer can't take the
/// command any more.
#[derive(Debug, Default)]
pub(crate) struct Stage(AtomicU8);

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const ABANDONED: u8 = 2;

impl Stage {
    fn take(&self) -> bool {
        let taken = self
            .0
            .compare_exchange(WAITING, TAKEN, Ordering::AcqRel, Ordering::Acquire);
        taken != Err(ABANDONED)
    }

    /// The writer has decided it in vain and nothing of that is or will be stored.
    pub(crate) fn put_back(&self) {
        self.0.store(WAITING, Ordering::Release);
    }

    /// The caller gives up; false if the writer has taken the command, so that it may become durable.
    pub(crate) fn abandon(&self) -> bool {
        let abandoned = self
            .0
            .compare_exchange(WAITING, ABANDONED, Ordering::AcqRel, Ordering::Acquire);
        abandoned.is_ok()
    }
}
