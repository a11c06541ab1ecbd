//! What a writer needs of an aggregate: one trait over the domain's three (DESIGN §4).

mod group;
mod organization;
mod system;

use domain::codec::{DecodeError, EventCodec};
use domain::commit::Changes;
use domain::gateway::CommandError;
use domain::{Actor, Boundary, Change, Context, DataKeys, Digest, Position, Timestamp, Version};

pub(crate) use self::group::JudgedCommand;
use crate::reactors::Watchlist;

/// A consistency unit that decides commands and folds changes.
pub(crate) trait Aggregate: Clone + Default + Send + Sync + 'static {
    /// What can be asked of it.
    type Command: Send + Sync + 'static;
    /// What happens to it.
    type Event: EventCodec + Send + Sync + 'static;
    /// What a decision keeps for its outcome.
    type Told: Send + 'static;
    /// What a caller is told.
    type Outcome: Send + 'static;

    /// Its name in metrics.
    const NAME: &'static str;
    /// The name of its writers' tasks.
    const WRITER: &'static str;

    /// The newest change's number; 0 before the first.
    fn version(&self) -> Version;

    /// The newest change's time.
    fn at(&self) -> Timestamp;

    /// Refuses a command or turns it into events; none mean "already so".
    fn decide(&self, command: &Self::Command, context: &mut Context) -> Result<Decided<Self>, CommandError>;

    /// Whether deciding this command may take the processor for longer than others should wait.
    fn is_heavy(_command: &Self::Command) -> bool {
        false
    }

    /// How many things a command is about, a large one counting as several: its caller waits for longer where there are many.
    fn extent(_command: &Self::Command) -> usize {
        1
    }

    /// What a caller is told, this being the state after the decision.
    fn outcome(&self, told: Self::Told) -> Self::Outcome;

    /// Folds one change.
    fn apply(&mut self, change: &Change<Self::Event>);

    /// The earlier change with this actor's idempotency key.
    fn recall(&self, actor: &Actor, key: &str) -> Option<Recalled<Self>>;

    /// This aggregate's changes; none if they are another one's.
    fn changes(changes: Changes) -> Option<Vec<Change<Self::Event>>>;

    /// About how many bytes an event takes before compression, the fixed costs of any event left out.
    fn size(event: &Self::Event) -> usize;

    /// The version of this aggregate's stored states; none where every start folds the log.
    const STATE_VERSION: Option<u32> = None;

    /// Reads a stored state of that version.
    fn restore(_stored: &[u8], boundary: Boundary, _keys: &dyn DataKeys) -> Result<Self, DecodeError> {
        Err(DecodeError::malformed(
            "a stored state",
            format!("{boundary} keeps none"),
        ))
    }

    /// Notes what reactors must know of this state, which holds the boundary's records up to `tail`.
    fn watch(&self, _boundary: Boundary, _tail: Position, _watchlist: &Watchlist) {}
}

/// An accepted command before it is a change.
pub(crate) struct Decided<A: Aggregate> {
    /// The events of the one change; empty for "already so".
    pub(crate) events: Vec<A::Event>,
    /// What the outcome is made of.
    pub(crate) told: A::Told,
}

/// An earlier change with the same idempotency key.
pub(crate) struct Recalled<A: Aggregate> {
    /// The digest of its request.
    pub(crate) request: Digest,
    /// Its version.
    pub(crate) version: Version,
    /// Its time.
    pub(crate) at: Timestamp,
    /// What its caller is told again.
    pub(crate) outcome: A::Outcome,
}
