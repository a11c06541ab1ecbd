//! Places for connections: how many there may be, in all and from one address, and which of them leaves when there is no room.
//!
//! A connection is quiet while it waits for its peer, and busy while its peer waits for us. Only quiet ones are asked to leave:
//! the one that is quiet for the longest, of the address that has the most. So a crowd from a few addresses makes room among
//! itself. Times are durations since a moment of the caller's choice.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceLimits {
    /// From everywhere together.
    pub in_all: usize,
    /// From one source.
    pub per_source: usize,
}

/// Where connections come from: an IPv4 address, or the 64 bits of an IPv6 address that name a network, in which one customer has
/// all addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(IpAddr);

impl Source {
    /// The source of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            address => Self(address),
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Names a place that somebody has.
pub type Ticket = u64;

/// What becomes of a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub enum Entered<Leave> {
    /// There is a place, quiet at first; where one had to leave for it, by what that one is told.
    Taken(Ticket, Option<Leave>),
    /// Everybody is busy.
    Full,
}

#[derive(Debug)]
struct Place<Leave> {
    source: Source,
    quiet_since: Option<Duration>,
    leave: Leave,
}

#[derive(Debug, Default)]
struct OfSource {
    places: usize,
    quiet: BTreeSet<(Duration, Ticket)>,
}

/// Who has a place. `Leave` is by what a connection is told to leave.
#[derive(Debug)]
pub struct Places<Leave> {
    limits: PlaceLimits,
    next: Ticket,
    places: HashMap<Ticket, Place<Leave>>,
    sources: HashMap<Source, OfSource>,
    /// The sources by how many places they have.
    by_size: BTreeSet<(usize, Source)>,
}

impl<Leave> Places<Leave> {
    /// Nobody is here yet.
    pub fn new(limits: PlaceLimits) -> Self {
        Self {
            limits,
            next: 0,
            places: HashMap::new(),
            sources: HashMap::new(),
            by_size: BTreeSet::new(),
        }
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.places.len()
    }

    /// A connection comes.
    pub fn enter(&mut self, source: Source, now: Duration, leave: Leave) -> Entered<Leave> {
        let of_source = self.sources.get(&source).map_or(0, |of| of.places);
        let idlest = if of_source >= self.limits.per_source {
            self.idlest_of(source)
        } else if self.places.len() >= self.limits.in_all {
            let mut largest_first = self.by_size.iter().rev();
            largest_first.find_map(|(_, source)| self.idlest_of(*source))
        } else {
            return Entered::Taken(self.take(source, now, leave), None);
        };
        match idlest.and_then(|ticket| self.leave(ticket)) {
            Some(left) => Entered::Taken(self.take(source, now, leave), Some(left)),
            None => Entered::Full,
        }
    }

    /// A connection's peer waits for us. One that has left already isn't known any more.
    pub fn busy(&mut self, ticket: Ticket) {
        self.set_quiet_since(ticket, None);
    }

    /// A connection waits for its peer, from now on.
    pub fn quiet(&mut self, ticket: Ticket, now: Duration) {
        self.set_quiet_since(ticket, Some(now));
    }

    /// A connection has ended; answers by what it would have been told to leave, once.
    pub fn leave(&mut self, ticket: Ticket) -> Option<Leave> {
        self.set_quiet_since(ticket, None);
        let place = self.places.remove(&ticket)?;
        self.resize(place.source, |places| places - 1);
        Some(place.leave)
    }

    fn take(&mut self, source: Source, now: Duration, leave: Leave) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        let place = Place {
            source,
            quiet_since: None,
            leave,
        };
        self.places.insert(ticket, place);
        self.resize(source, |places| places + 1);
        self.quiet(ticket, now);
        ticket
    }

    fn idlest_of(&self, source: Source) -> Option<Ticket> {
        let (_, ticket) = self.sources.get(&source)?.quiet.first()?;
        Some(*ticket)
    }

    fn set_quiet_since(&mut self, ticket: Ticket, since: Option<Duration>) {
        let Some(place) = self.places.get_mut(&ticket) else {
            return;
        };
        let Some(of_source) = self.sources.get_mut(&place.source) else {
            return;
        };
        if let Some(before) = std::mem::replace(&mut place.quiet_since, since) {
            of_source.quiet.remove(&(before, ticket));
        }
        if let Some(since) = since {
            of_source.quiet.insert((since, ticket));
        }
    }

    fn resize(&mut self, source: Source, change: impl Fn(usize) -> usize) {
        let of_source = self.sources.entry(source).or_default();
        self.by_size.remove(&(of_source.places, source));
        of_source.places = change(of_source.places);
        if of_source.places == 0 {
            self.sources.remove(&source);
        } else {
            self.by_size.insert((of_source.places, source));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PlaceLimits = PlaceLimits {
        in_all: 4,
        per_source: 3,
    };

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([10, 0, 0, last]))
    }

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn entered(places: &mut Places<&'static str>, from: u8, second: u64, name: &'static str) -> Ticket {
        match places.enter(source(from), at(second), name) {
            Entered::Taken(ticket, None) => ticket,
            other => panic!("{name} has a place without anybody leaving: {other:?}"),
        }
    }

    fn left_for(places: &mut Places<&'static str>, from: u8, second: u64) -> Option<&'static str> {
        match places.enter(source(from), at(second), "newcomer") {
            Entered::Taken(_, left) => left,
            Entered::Full => panic!("there was a place"),
        }
    }

    #[test]
    fn an_address_with_all_its_places_makes_room_among_its_own() {
        let mut places = Places::new(LIMITS);
        entered(&mut places, 2, 0, "another's");
        let first = entered(&mut places, 1, 1, "first");
        entered(&mut places, 1, 2, "second");
        entered(&mut places, 1, 3, "third");
        places.quiet(first, at(4));
        assert_eq!(left_for(&mut places, 1, 5), Some("second"));
        assert_eq!(places.taken(), 4);
    }

    #[test]
    fn when_all_places_are_taken_the_address_with_the_most_makes_room() {
        let mut places = Places::new(LIMITS);
        entered(&mut places, 2, 0, "alone");
        entered(&mut places, 1, 1, "first");
        entered(&mut places, 1, 2, "second");
        entered(&mut places, 1, 3, "third");
        assert_eq!(left_for(&mut places, 3, 4), Some("first"));
    }

    #[test]
    fn who_is_busy_does_not_leave() {
        let mut places = Places::new(LIMITS);
        for name in ["a", "b", "c"] {
            let ticket = entered(&mut places, 1, 0, name);
            places.busy(ticket);
        }
        assert_eq!(places.enter(source(1), at(1), "d"), Entered::Full);
        let other = entered(&mut places, 2, 1, "other");
        assert_eq!(left_for(&mut places, 3, 2), Some("other"));
        assert_eq!(places.leave(other), None, "it has left already");
    }

    #[test]
    fn a_place_that_was_left_can_be_taken_again() {
        let mut places = Places::new(LIMITS);
        for round in 0..100 {
            let ticket = entered(&mut places, 1, round, "guest");
            assert_eq!(places.leave(ticket), Some("guest"));
        }
        assert_eq!(places.taken(), 0);
    }

    #[test]
    fn one_customers_ipv6_addresses_are_one_source() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), source(1));
    }
}
