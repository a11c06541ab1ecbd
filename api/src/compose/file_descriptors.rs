//! File descriptors: each connection is one. The process takes as many as it may have, and no listener uses them up.

use domain::places::PlaceLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, info};

/// Raises the process's limit as far as it goes without asking anybody; answers how many there may be, none for any number.
pub fn raise_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            debug!(%error, "the limit of file descriptors stays as it is");
            limit.current
        }
    }
}

/// A listener's limits, lowered to its share of the file descriptors where it could use them up: each of the two that take
/// connections from anywhere gets two fifths, the rest is for logs, databases and health.
pub fn within(limits: PlaceLimits, descriptors: Option<u64>, listener: &'static str) -> PlaceLimits {
    let share = descriptors.map_or(usize::MAX, |all| {
        usize::try_from(all / 5 * 2).unwrap_or(usize::MAX)
    });
    if share < limits.in_all {
        info!(
            listener,
            asked = limits.in_all,
            served = share,
            "fewer connections are served at once than asked for: raise the limit of open files"
        );
    }
    PlaceLimits {
        in_all: limits.in_all.min(share),
        per_source: limits.per_source.min(share),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_listener_takes_more_than_its_share() {
        let asked = PlaceLimits {
            in_all: 10_000,
            per_source: 2_000,
        };
        assert_eq!(within(asked, None, "API"), asked);
        assert_eq!(within(asked, Some(65_536), "API"), asked);
        let lowered = within(asked, Some(1_024), "API");
        assert_eq!((lowered.in_all, lowered.per_source), (408, 408));
    }
}
