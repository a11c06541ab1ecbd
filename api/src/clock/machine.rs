//! What the machine tells: the time, and for how long it has run.

use std::time::Duration;

use chrono::Utc;
use domain::{Clock, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// What a clock is made from. Tests hand in machines whose clock is set.
pub trait TimeSource: Send + Sync + 'static {
    /// What time it is. Somebody may set it at any moment.
    fn time(&self) -> Timestamp;

    /// For how long the machine has run, sleep included. Nobody can set it.
    fn uptime(&self) -> Duration;

    /// Names this run of the machine, from its start to its end; none if it can't be told.
    fn boot(&self) -> Option<String>;
}

/// This machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl TimeSource for Machine {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock; everybody else is handed a Clock"
    )]
    fn time(&self) -> Timestamp {
        Timestamp(Utc::now().timestamp_millis())
    }

    fn uptime(&self) -> Duration {
        #[cfg(target_os = "linux")]
        let clock = ClockId::Boottime;
        #[cfg(not(target_os = "linux"))]
        let clock = ClockId::Monotonic;
        let time = clock_gettime(clock);
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(time.tv_sec.unsigned_abs(), nanoseconds)
    }

    fn boot(&self) -> Option<String> {
        let name = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(name.trim().to_owned())
    }
}

/// Tells what the machine's clock says, for commands that look once.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Machine.time()
    }
}
