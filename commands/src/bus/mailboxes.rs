//! The mailboxes of one kind of writers: a writer starts with the first message for its boundary.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use domain::gateway::CommandError;
use domain::{Boundary, Cause};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use crate::aggregate::Aggregate;
use crate::writer::{Answer, Durable, Message, Request, Stage, StateAnswer, Surroundings, Writer};

/// How many messages wait for a writer before their senders wait too.
const MAILBOX: usize = 8 * 1024;
/// How much longer a caller waits for each thing that a command is about: deciding and storing it takes a tenth of this.
const PATIENCE: Duration = Duration::from_micros(500);

/// The writers of one aggregate's boundaries.
pub(super) struct Mailboxes<A: Aggregate> {
    surroundings: Arc<Surroundings>,
    deadline: Duration,
    by_boundary: Arc<DashMap<Boundary, Mailbox<A>>>,
}

/// The way to one writer.
struct Mailbox<A: Aggregate> {
    sender: mpsc::Sender<Message<A>>,
    durable: watch::Receiver<Option<Arc<Durable<A>>>>,
}

impl<A: Aggregate> Mailboxes<A> {
    pub(super) fn new(surroundings: Arc<Surroundings>, deadline: Duration) -> Self {
        Self {
            surroundings,
            deadline,
            by_boundary: Arc::default(),
        }
    }

    /// Has a command decided; the answer is durable, or says what isn't known.
    pub(super) async fn command(&self, boundary: Boundary, command: A::Command, cause: Cause) -> Answer<A> {
        let stage = Arc::new(Stage::default());
        let (answer, answered) = oneshot::channel();
        let deadline = patient(self.deadline, A::extent(&command));
        let request = Request {
            command,
            cause,
            stage: Arc::clone(&stage),
            answer,
        };
        let exchange = async {
            self.post(boundary, Message::Command(request)).await;
            answered.await
        };
        match timeout(deadline, exchange).await {
            Ok(Ok(answer)) => answer,
            _ if stage.abandon() => Err(too_late(boundary, deadline)),
            _ => Err(CommandError::OutcomeUnknown),
        }
    }

    /// The boundary's state with everything that was durable at the call.
    pub(super) async fn fresh(&self, boundary: Boundary) -> StateAnswer<A> {
        let (answer, answered) = oneshot::channel();
        let exchange = async {
            self.post(boundary, Message::Refresh(answer)).await;
            answered.await
        };
        match timeout(self.deadline, exchange).await {
            Ok(Ok(answer)) => answer,
            _ => Err(too_late(boundary, self.deadline)),
        }
    }

    /// The newest state this process knows: durable, but another process may have written since.
    pub(super) async fn known(&self, boundary: Boundary) -> StateAnswer<A> {
        match self.published(boundary) {
            Some(durable) => Ok(durable),
            None => self.fresh(boundary).await,
        }
    }

    /// As [`Self::known`], if the boundary has a writer that has read the log.
    pub(super) fn published(&self, boundary: Boundary) -> Option<Arc<Durable<A>>> {
        let mailbox = self.by_boundary.get(&boundary)?;
        mailbox.durable.borrow().clone()
    }

    /// Has a boundary's writer answer what it was asked, and drop its state.
    pub(super) fn retire(&self, boundary: Boundary) {
        self.by_boundary.remove(&boundary);
    }

    async fn post(&self, boundary: Boundary, mut message: Message<A>) {
        // A writer that stops closes its mailbox first, so what it returns goes to its successor.
        while let Err(returned) = self.sender(boundary).send(message).await {
            message = returned.0;
        }
    }

    fn sender(&self, boundary: Boundary) -> mpsc::Sender<Message<A>> {
        if let Some(mailbox) = self.by_boundary.get(&boundary)
            && !mailbox.sender.is_closed()
        {
            return mailbox.sender.clone();
        }
        let mut entry = self
            .by_boundary
            .entry(boundary)
            .or_insert_with(|| self.start(boundary));
        if entry.sender.is_closed() {
            *entry = self.start(boundary);
        }
        entry.sender.clone()
    }

    fn start(&self, boundary: Boundary) -> Mailbox<A> {
        let (sender, receiver) = mpsc::channel(MAILBOX);
        let (published, durable) = watch::channel(None);
        let writer = Writer::new(Arc::clone(&self.surroundings), boundary, published);
        let by_boundary = Arc::clone(&self.by_boundary);
        let task = async move {
            writer.run(receiver).await;
            by_boundary.remove_if(&boundary, |_, mailbox| mailbox.sender.is_closed());
        };
        self.surroundings.spawner.spawn(A::WRITER, Box::pin(task));
        Mailbox { sender, durable }
    }
}

/// How long the caller of a command waits that is about so many things.
fn patient(deadline: Duration, extent: usize) -> Duration {
    deadline + PATIENCE.saturating_mul(u32::try_from(extent).unwrap_or(u32::MAX))
}

fn too_late(boundary: Boundary, deadline: Duration) -> CommandError {
    CommandError::Unavailable(format!(
        "{boundary} wasn't answered within {} s; the log may be slow or away",
        deadline.as_secs()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_a_large_file_waits_for_longer_than_who_sends_one_entity() {
        let second = Duration::from_secs(1);
        assert_eq!(patient(5 * second, 130_000), 70 * second);
        assert!(patient(5 * second, 1) < 6 * second);
    }
}
