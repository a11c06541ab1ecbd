//! Says in the log who is refused: an instance that is comes again every few seconds, and needn't be named each time.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::gatekeeper::Refused;

/// How long the same refusal isn't said again.
const QUIET: Duration = Duration::from_secs(60);
/// How many refusals are remembered.
const REMEMBERED: usize = 1_024;

/// Who was refused of late, and why.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    said: Mutex<Vec<(IpAddr, String, Instant)>>,
}

impl RefusalLog {
    /// Says that somebody is refused, and counts it.
    pub(crate) fn refused(&self, address: IpAddr, refused: &Refused) {
        metrics::counter!("dataplane_connections_refused", "reason" => refused.name()).increment(1);
        let reason = refused.to_string();
        if self.is_new(address, &reason, Instant::now()) {
            tracing::warn!(%address, reason, "an instance was refused");
        } else {
            tracing::debug!(%address, reason, "an instance was refused again");
        }
    }

    fn is_new(&self, address: IpAddr, reason: &str, now: Instant) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|(.., at)| now.duration_since(*at) < QUIET);
        if said
            .iter()
            .any(|(known, why, _)| *known == address && why == reason)
        {
            return false;
        }
        if said.len() == REMEMBERED {
            said.remove(0);
        }
        said.push((address, reason.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_same_refusal_is_said_once_a_minute() {
        let (one, other) = (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::UNSPECIFIED.into());
        let (log, now) = (RefusalLog::default(), Instant::now());
        assert!(log.is_new(one, "revoked", now));
        assert!(!log.is_new(one, "revoked", now));
        assert!(log.is_new(other, "revoked", now) && log.is_new(one, "expired", now));
        assert!(log.is_new(one, "revoked", now + QUIET));
    }
}
