//! One writer per boundary (DESIGN §5): a mailbox and a task that decides everything waiting on a scratch state,
//! appends one commit, publishes the new state and answers each caller. Nothing is answered before what it was decided
//! on is durable.
//!
//! - [`request`]: what waits in the mailbox; [`batch`]: deciding; [`commit`]: encoding and appending.
//! - [`append`]: asking the log until its answer is definite; [`contention`]: taking turns with other processes;
//!   [`large_commits`]: with the other writers of this one.
//! - [`fold`]: the state as the log has it; [`start`]: where folding it begins.

mod append;
mod batch;
mod commit;
mod contention;
mod fold;
mod large_commits;
mod measures;
mod request;
mod start;

pub(crate) use fold::Fold;
pub(crate) use large_commits::LargeCommits;
pub(crate) use request::{Answer, Message, Request, Stage, StateAnswer};

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::gateway::CommandError;
use domain::spawner::{Share, computed};
use domain::state_store::StateStore;
use domain::{Boundary, Clock, EventLog, Keyring, Position, Spawner};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, error};

use self::append::Appender;
use self::batch::{Batch, Verdict};
use self::commit::CommitError;
use self::contention::Contention;
use self::fold::FoldError;
use crate::aggregate::Aggregate;
use crate::reactors::Watchlist;

/// A writer without work for so long stops and drops its state; the next command starts another.
const IDLE: Duration = Duration::from_secs(600);

/// What every writer works with.
pub(crate) struct Surroundings {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) keyring: Arc<dyn Keyring>,
    pub(crate) states: Option<Arc<dyn StateStore>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) spawner: Arc<dyn Spawner>,
    pub(crate) watchlist: Arc<Watchlist>,
    pub(crate) large_commits: LargeCommits,
}

/// A boundary's state with everything up to a durable commit.
#[derive(Debug)]
pub struct Durable<A> {
    /// The folded state.
    pub state: A,
    /// The newest commit in it; [`Position::START`] if there is none.
    pub position: Position,
}

/// Where a writer publishes its newest durable state; none until it has read the log.
pub(crate) type Published<A> = watch::Sender<Option<Arc<Durable<A>>>>;

/// One boundary's writer.
pub(crate) struct Writer<A: Aggregate> {
    surroundings: Arc<Surroundings>,
    boundary: Boundary,
    fold: Fold<A>,
    appender: Appender,
    waiting: VecDeque<Request<A>>,
    refreshes: Vec<oneshot::Sender<StateAnswer<A>>>,
    published: Published<A>,
    contention: Contention,
}

/// Why a writer ends before its mailbox is empty.
enum End {
    /// Its boundary's state can't be known.
    Unknowable(FoldError),
    /// The process ends.
    Shutdown,
}

impl From<FoldError> for End {
    fn from(error: FoldError) -> Self {
        Self::Unknowable(error)
    }
}

impl<A: Aggregate> Writer<A> {
    pub(crate) fn new(surroundings: Arc<Surroundings>, boundary: Boundary, published: Published<A>) -> Self {
        let appender = Appender {
            boundary,
            log: Arc::clone(&surroundings.log),
            spawner: Arc::clone(&surroundings.spawner),
        };
        Self {
            surroundings,
            boundary,
            fold: Fold::empty(boundary),
            appender,
            waiting: VecDeque::new(),
            refreshes: Vec::new(),
            published,
            contention: Contention::default(),
        }
    }

    /// Works until nothing came for a while, the process ends, or the log can't be read. Whatever is left in the
    /// mailbox then is answered too.
    pub(crate) async fn run(mut self, mut mailbox: mpsc::Receiver<Message<A>>) {
        let end = self.work(&mut mailbox).await;
        mailbox.close();
        let end = match end {
            Err(end) => Err(end),
            // A command may have come while an idle writer was closing its mailbox.
            Ok(()) => loop {
                self.take_waiting(&mut mailbox);
                if self.is_done() {
                    break Ok(());
                }
                if let Err(end) = self.step().await {
                    break Err(end);
                }
            },
        };
        if let Err(end) = end {
            self.take_waiting(&mut mailbox);
            self.refuse_everybody(&end);
        }
    }

    async fn work(&mut self, mailbox: &mut mpsc::Receiver<Message<A>>) -> Result<(), End> {
        self.fold = Fold::start(self.boundary, &self.surroundings).await;
        self.catch_up().await?;
        let spawner = Arc::clone(&self.surroundings.spawner);
        let mut shutdown = spawner.shutdown();
        loop {
            let message = tokio::select! {
                biased;
                message = mailbox.recv() => message,
                () = &mut shutdown => return Ok(()),
                () = tokio::time::sleep(IDLE) => return Ok(()),
            };
            let Some(message) = message else {
                return Ok(());
            };
            self.take(message);
            loop {
                self.take_waiting(mailbox);
                if self.is_done() {
                    break;
                }
                self.step().await?;
            }
        }
    }

    fn take(&mut self, message: Message<A>) {
        match message {
            Message::Command(request) => self.waiting.push_back(request),
            Message::Refresh(answer) => self.refreshes.push(answer),
        }
    }

    fn take_waiting(&mut self, mailbox: &mut mpsc::Receiver<Message<A>>) {
        while let Ok(message) = mailbox.try_recv() {
            self.take(message);
        }
    }

    fn is_done(&self) -> bool {
        self.waiting.is_empty() && self.refreshes.is_empty()
    }

    /// Answers those who want the state, then decides and commits one batch.
    async fn step(&mut self) -> Result<(), End> {
        if !self.refreshes.is_empty() {
            self.refresh().await?;
        }
        let mut batch = self.decide().await?;
        if batch.changes.is_empty() {
            return self.answer_without_commit(batch).await;
        }
        let changes = Arc::new(std::mem::take(&mut batch.changes));
        let surroundings = Arc::clone(&self.surroundings);
        let turn = surroundings.large_commits.turn(batch.size()).await;
        let began = Instant::now();
        match self.commit(&changes, batch.size()).await {
            Ok(()) => {
                let took = began.elapsed();
                self.fold.applied(batch.scratch);
                self.publish();
                self.answer(batch.decided);
                if let Some(turn) = turn {
                    turn.end_later(self.fold.guard(), &*surroundings.spawner);
                }
                self.leave_a_gap(took).await;
                Ok(())
            }
            Err(CommitError::Superseded) => {
                self.put_back(batch.decided);
                self.catch_up().await
            }
            Err(CommitError::NothingStored(error)) => {
                self.refuse_changes(batch.decided, &error);
                Ok(())
            }
            Err(CommitError::Unresolved) => {
                self.refuse_changes(batch.decided, &CommandError::OutcomeUnknown);
                Err(End::Shutdown)
            }
        }
    }

    /// Decides what waits: here, or on a thread for computing where one of the commands may take long.
    async fn decide(&mut self) -> Result<Batch<A>, End> {
        let clock = Arc::clone(&self.surroundings.clock);
        let heavy = self.waiting.iter().any(|request| A::is_heavy(&request.command));
        if !heavy {
            return Ok(Batch::decide(&self.fold.state, &mut self.waiting, &*clock));
        }
        let (state, mut waiting) = (self.fold.state.clone(), std::mem::take(&mut self.waiting));
        let decided = self.computed(move || {
            let batch = Batch::decide(&state, &mut waiting, &*clock);
            (batch, waiting)
        });
        let (batch, waiting) = decided.await.ok_or(End::Shutdown)?;
        self.waiting = waiting;
        Ok(batch)
    }

    /// What work comes to on a thread for computing; nothing if the process ends before.
    async fn computed<Out: Send + 'static>(
        &self,
        work: impl FnOnce() -> Out + Send + 'static,
    ) -> Option<Out> {
        let share = match self.boundary {
            Boundary::Group(group) => Share::Group(group),
            Boundary::System | Boundary::Organization(_) => Share::Program,
        };
        computed(&*self.surroundings.spawner, share, work).await
    }

    /// Refusals and "already so" hold only for the newest state, which no commit has proven this one to be.
    async fn answer_without_commit(&mut self, batch: Batch<A>) -> Result<(), End> {
        if batch.decided.is_empty() {
            return Ok(());
        }
        let current = self.fold.is_current(&*self.surroundings.log).await;
        if let Ok(true) = current {
            self.answer(batch.decided);
            return Ok(());
        }
        self.put_back(batch.decided);
        current?;
        self.catch_up().await
    }

    async fn refresh(&mut self) -> Result<(), End> {
        if !self.fold.is_current(&*self.surroundings.log).await? {
            self.catch_up().await?;
        }
        let durable = self.published.borrow().clone();
        if let Some(durable) = durable {
            for answer in self.refreshes.drain(..) {
                let _ = answer.send(Ok(Arc::clone(&durable)));
            }
        }
        Ok(())
    }

    async fn catch_up(&mut self) -> Result<(), End> {
        let Surroundings { log, keyring, .. } = &*self.surroundings;
        let before = self.fold.guard();
        self.fold.catch_up(&**log, &**keyring).await?;
        let started = self.published.borrow().is_some();
        if started && self.fold.guard() > before {
            self.contention.meet();
        }
        self.publish();
        Ok(())
    }

    /// Leaves the boundary to the writers of other processes for a while, if there are some.
    async fn leave_a_gap(&self, commit: Duration) {
        if let Some(gap) = self.contention.gap(commit) {
            tokio::select! {
                () = tokio::time::sleep(gap) => {}
                () = self.surroundings.spawner.shutdown() => {}
            }
        }
    }

    fn publish(&self) {
        let Fold { state, position, .. } = &self.fold;
        state.watch(self.boundary, self.fold.guard(), &self.surroundings.watchlist);
        debug!(boundary = %self.boundary, version = state.version(), %position, "published");
        self.published.send_replace(Some(Arc::new(Durable {
            state: state.clone(),
            position: *position,
        })));
    }

    fn answer(&self, decided: Vec<(Request<A>, Verdict<A>)>) {
        for (request, verdict) in decided {
            measures::answered(A::NAME, verdict.name());
            request.reply(verdict.answer(self.fold.position));
        }
    }

    /// Nothing of the batch is or will be stored: its commands are decided again before those that came later.
    fn put_back(&mut self, decided: Vec<(Request<A>, Verdict<A>)>) {
        for (request, _) in decided.into_iter().rev() {
            request.stage.put_back();
            self.waiting.push_front(request);
        }
    }

    /// The batch's changes failed; what was decided on a state that had them is decided again.
    fn refuse_changes(&mut self, decided: Vec<(Request<A>, Verdict<A>)>, error: &CommandError) {
        let mut others = Vec::new();
        for (request, verdict) in decided {
            if matches!(verdict, Verdict::Changed(_)) {
                measures::answered(A::NAME, "failed");
                request.reply(Err(error.clone()));
            } else {
                others.push((request, verdict));
            }
        }
        self.put_back(others);
    }

    fn refuse_everybody(&mut self, end: &End) {
        let reason = match end {
            End::Unknowable(fault) => {
                error!(boundary = %self.boundary, error = %fault, "a writer can't go on");
                fault.to_string()
            }
            End::Shutdown => "the program is shutting down".to_owned(),
        };
        let error = CommandError::Unavailable(reason);
        for request in self.waiting.drain(..) {
            measures::answered(A::NAME, "failed");
            request.reply(Err(error.clone()));
        }
        for answer in self.refreshes.drain(..) {
            let _ = answer.send(Err(error.clone()));
        }
    }
}
