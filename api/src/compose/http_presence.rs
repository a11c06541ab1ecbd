//! What a connection of the API is doing, and how long it may: from its first byte on every wait for its client has an end.
//!
//! A connection is quiet while all it waits for is its client: for a request, or for more of a body. It is busy while at least
//! one request is being answered, and that takes as long as it takes; only a client that doesn't take its answer is left.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::places::{Entered, PlaceLimits, Places, Source, Ticket};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long a new connection may take until the head of its first request is here.
pub const FIRST_HEAD: Duration = Duration::from_secs(15);
/// How long a connection may wait for its next request.
pub const NEXT_HEAD: Duration = Duration::from_secs(60);
/// How long a client may leave what it is sent in its socket.
pub const STALL: Duration = Duration::from_secs(60);

/// All connections of one listener.
#[derive(Clone, Debug)]
pub struct Presences {
    places: Arc<Mutex<Places<CancellationToken>>>,
    opened: Instant,
}

impl Presences {
    /// Nobody is here yet.
    pub fn new(limits: PlaceLimits) -> Self {
        Self {
            places: Arc::new(Mutex::new(Places::new(limits))),
            opened: Instant::now(),
        }
    }

    /// A place for a connection, for which the idlest one may have to leave; none while everybody is busy.
    pub fn enter(&self, peer: SocketAddr) -> Option<Presence> {
        let leave = CancellationToken::new();
        let source = Source::of(peer.ip());
        let entered = self.places().enter(source, self.opened.elapsed(), leave.clone());
        let Entered::Taken(ticket, turned_out) = entered else {
            metrics::counter!("http_connections_refused_total").increment(1);
            return None;
        };
        if let Some(turned_out) = turned_out {
            metrics::counter!("http_connections_turned_out_total").increment(1);
            turned_out.cancel();
        }
        let now = Instant::now();
        Some(Presence {
            presences: self.clone(),
            ticket,
            leave,
            doing: Mutex::new(Doing {
                requests: 0,
                awaited: 0,
                served: false,
                quiet_since: Some(now),
                stalled_since: None,
            }),
        })
    }

    fn places(&self) -> MutexGuard<'_, Places<CancellationToken>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, for as long as it lives.
#[derive(Debug)]
pub struct Presence {
    presences: Presences,
    ticket: Ticket,
    leave: CancellationToken,
    doing: Mutex<Doing>,
}

#[derive(Debug)]
struct Doing {
    /// Requests that aren't answered to their end.
    requests: usize,
    /// Those of them whose body isn't here yet.
    awaited: usize,
    /// Whether there was a request.
    served: bool,
    quiet_since: Option<Instant>,
    /// Since when the socket takes nothing of what the client is sent.
    stalled_since: Option<Instant>,
}

impl Presence {
    /// What comes of the connection; nothing if it must leave before: it waited too long for its client, or others need its place.
    pub async fn unless_outstayed<Out>(&self, served: impl Future<Output = Out>) -> Option<Out> {
        let overdue = async {
            loop {
                let due = self.due();
                if due <= Instant::now() {
                    return;
                }
                sleep_until(due).await;
            }
        };
        tokio::select! {
            biased;
            out = served => Some(out),
            () = overdue => None,
            () = self.leave.cancelled() => None,
        }
    }

    /// When the connection must leave unless something happens; while it is busy, when to look again.
    fn due(&self) -> Instant {
        let doing = self.doing();
        let patience = if doing.served { NEXT_HEAD } else { FIRST_HEAD };
        // A body has deadlines of its own.
        let idle = doing.quiet_since.filter(|_| doing.requests == 0);
        let ends = [
            idle.map(|since| since + patience),
            doing.stalled_since.map(|since| since + STALL),
        ];
        let soonest = ends.into_iter().flatten().min();
        soonest.unwrap_or_else(|| Instant::now() + FIRST_HEAD)
    }

    /// A request has come; `has_body` says whether more of it is to come.
    pub(super) fn request_came(&self, has_body: bool) {
        self.change(|doing| {
            doing.served = true;
            doing.requests += 1;
            doing.awaited += usize::from(has_body);
        });
    }

    /// Some of a body has come.
    pub(super) fn body_moved(&self) {
        self.change(|_| {});
    }

    /// A body is whole, or nobody waits for it any more.
    pub(super) fn body_ended(&self) {
        self.change(|doing| doing.awaited -= 1);
    }

    /// A request is answered to its end.
    pub(super) fn request_ended(&self) {
        self.change(|doing| doing.requests -= 1);
    }

    /// The socket takes, or doesn't take, what the client is sent.
    pub(super) fn writes(&self, moves: bool) {
        let mut doing = self.doing();
        match (moves, doing.stalled_since) {
            (true, Some(_)) => doing.stalled_since = None,
            (false, None) => doing.stalled_since = Some(Instant::now()),
            _ => {}
        }
    }

    fn change(&self, change: impl FnOnce(&mut Doing)) {
        let mut doing = self.doing();
        change(&mut doing);
        let quiet = doing.requests == doing.awaited;
        doing.quiet_since = quiet.then(Instant::now);
        let mut places = self.presences.places();
        match quiet {
            true => places.quiet(self.ticket, self.presences.opened.elapsed()),
            false => places.busy(self.ticket),
        }
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.presences.places().leave(self.ticket);
    }
}
