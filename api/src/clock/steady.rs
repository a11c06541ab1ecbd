//! The clock that the program goes by. Between two readings as much time has passed as the machine has run, so a clock that
//! somebody sets makes nothing expire early and nothing live longer. A small difference is made up for slowly; a large
//! one isn't followed at all, and is said, until the machine's clock agrees again or a start is told to accept it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::clock::TOLERANCE;
use domain::health::{Condition, Health, Severity};
use domain::{Clock, Timestamp};
use tracing::info;

use super::machine::TimeSource;
use super::span;

/// How much of the time that passes may be added or left out to follow the machine's clock: one part of so many. Whoever counts
/// seconds doesn't notice.
const SLOWLY: i64 = 20;

/// From which difference on, in microseconds, it is said that the clock was set.
const WORTH_TELLING: i64 = 1_000_000;

/// What is raised while the machine's clock isn't followed.
const CONDITION: &str = "clock";

/// A clock that never jumps.
pub struct SteadyClock {
    source: Arc<dyn TimeSource>,
    health: Arc<dyn Health>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// The time, in microseconds since the epoch.
    time: i64,
    /// When that was, by the machine's uptime.
    uptime: Duration,
    standing: Standing,
}

/// How the machine's clock stands to this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It agrees.
    Agrees,
    /// It differs, by so many milliseconds when that was noticed, and is being followed.
    Followed(i64),
    /// It differs by too much, by so many milliseconds when that was noticed.
    Refused(i64),
}

impl SteadyClock {
    /// A clock that begins with what the machine's says; `health` hears when that isn't followed.
    pub fn start(source: Arc<dyn TimeSource>, health: Arc<dyn Health>) -> Self {
        let state = State {
            time: source.time().0.saturating_mul(1_000),
            uptime: source.uptime(),
            standing: Standing::Agrees,
        };
        Self {
            source,
            health,
            state: Mutex::new(state),
        }
    }

    /// The time now, and the machine's uptime at that moment.
    pub(super) fn reading(&self) -> (Timestamp, Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.standing;
        *state = state.advanced(self.source.time(), self.source.uptime());
        let State {
            time,
            uptime,
            standing,
        } = *state;
        drop(state);
        if standing != before {
            self.tell(standing);
        }
        (Timestamp(time.div_euclid(1_000)), uptime)
    }

    fn tell(&self, standing: Standing) {
        match standing {
            Standing::Agrees => info!("the machine's clock and the time that this process goes by agree"),
            Standing::Followed(difference) => info!(
                "the machine's clock was set {} by {}; it is followed slowly",
                direction(difference),
                span(difference)
            ),
            Standing::Refused(difference) => {
                let reason = format!(
                    "the machine's clock was set {} by {} and this process doesn't follow it: set the clock right, or, if it is right now, \
                     restart with --accept-clock",
                    direction(difference),
                    span(difference)
                );
                return self.health.raise(Condition {
                    name: CONDITION,
                    severity: Severity::Notice,
                    reason,
                });
            }
        }
        self.health.clear(CONDITION);
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        self.reading().0
    }
}

impl State {
    /// The state when the machine says this.
    fn advanced(self, clock: Timestamp, uptime: Duration) -> Self {
        let passed = uptime.saturating_sub(self.uptime).as_micros();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let time = self.time.saturating_add(passed);
        let difference = clock.0.saturating_mul(1_000).saturating_sub(time);
        let tolerance = i64::try_from(TOLERANCE.as_micros()).unwrap_or(i64::MAX);
        let (step, standing) = if difference.abs() > tolerance {
            (0, self.standing.refused(difference))
        } else {
            let most = passed / SLOWLY;
            (difference.clamp(-most, most), self.standing.followed(difference))
        };
        Self {
            time: time + step,
            uptime,
            standing,
        }
    }
}

impl Standing {
    /// A difference that is told once isn't told again while it is about the same.
    fn refused(self, difference: i64) -> Self {
        match self {
            Self::Refused(told) if (difference / 1_000 - told).abs() <= 1_000 => self,
            _ => Self::Refused(difference / 1_000),
        }
    }

    fn followed(self, difference: i64) -> Self {
        match self {
            _ if difference.abs() < WORTH_TELLING => Self::Agrees,
            // It grows smaller.
            Self::Followed(told) if (difference / 1_000).abs() <= told.abs() => self,
            _ => Self::Followed(difference / 1_000),
        }
    }
}

const fn direction(difference: i64) -> &'static str {
    if difference < 0 { "back" } else { "forwards" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::health::Conditions;

    const NOON: i64 = 1_800_000_000_000;

    /// A machine whose clock anybody may set.
    #[derive(Default)]
    struct Settable(Mutex<(i64, Duration)>);

    impl Settable {
        fn pass(&self, seconds: u64) {
            let mut machine = self.0.lock().unwrap();
            machine.0 += i64::try_from(seconds).unwrap() * 1_000;
            machine.1 += Duration::from_secs(seconds);
        }

        fn set(&self, seconds: i64) {
            self.0.lock().unwrap().0 += seconds * 1_000;
        }
    }

    impl TimeSource for Settable {
        fn time(&self) -> Timestamp {
            Timestamp(NOON + self.0.lock().unwrap().0)
        }

        fn uptime(&self) -> Duration {
            self.0.lock().unwrap().1
        }

        fn boot(&self) -> Option<String> {
            None
        }
    }

    fn started() -> (Arc<Settable>, SteadyClock, Arc<Conditions>) {
        let (machine, health) = (Arc::new(Settable::default()), Arc::new(Conditions::default()));
        let clock = SteadyClock::start(
            Arc::<Settable>::clone(&machine),
            Arc::<Conditions>::clone(&health),
        );
        (machine, clock, health)
    }

    #[test]
    fn a_clock_that_nobody_sets_is_followed_exactly() {
        let (machine, clock, health) = started();
        for seconds in [0, 1, 59, 3_600, 86_400] {
            machine.pass(seconds);
            assert_eq!(clock.now(), machine.time());
        }
        assert_eq!(health.all(), []);
    }

    #[test]
    fn a_small_difference_is_made_up_for_slowly() {
        let (machine, clock, health) = started();
        machine.set(60);
        assert_eq!(clock.now(), Timestamp(NOON));
        machine.pass(100);
        assert_eq!(clock.now(), Timestamp(NOON + 105_000));
        machine.pass(2_000);
        assert_eq!(clock.now(), machine.time());
        machine.set(-60);
        let before = clock.now();
        machine.pass(100);
        assert_eq!(clock.now(), Timestamp(before.0 + 95_000));
        assert_eq!(health.all(), []);
    }

    #[test]
    fn a_jump_is_not_followed_until_the_clock_is_set_right() {
        let (machine, clock, health) = started();
        for jump in [-86_400 * 400, -301, 301, 86_400 * 400] {
            let before = clock.now();
            machine.set(jump);
            machine.pass(10);
            assert_eq!(clock.now(), Timestamp(before.0 + 10_000));
            let [condition] = health.all().try_into().unwrap();
            assert!(condition.reason.contains("--accept-clock"), "{condition:?}");
            machine.set(-jump);
            assert_eq!(clock.now(), machine.time());
            assert_eq!(health.all(), []);
        }
    }

    proptest! {
        #[test]
        fn whatever_the_clock_is_set_to_time_passes_as_the_machine_runs(
            steps in prop::collection::vec((0_u64..10_000, -1_000_000_i64..1_000_000), 1..50)
        ) {
            let (machine, clock, _) = started();
            let (mut before, mut passed) = (clock.now(), 0);
            for (seconds, set) in steps {
                machine.set(set);
                machine.pass(seconds);
                passed += i64::try_from(seconds).unwrap() * 1_000;
                let now = clock.now();
                prop_assert!(now >= before, "it never runs backwards");
                let least = NOON + passed - passed / SLOWLY - 1;
                let most = NOON + passed + passed / SLOWLY + 1;
                prop_assert!((least..=most).contains(&now.0), "{now} after {passed} ms");
                before = now;
            }
        }
    }
}
