//! Says in the log who is refused: an instance that is comes again every few seconds, and needn't be named each time. However many
//! tokens and certificates an address shows, there is one line a minute for it and each kind of refusal.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::places::Source;
use tokio::time::Instant;

use crate::gatekeeper::Refused;

/// How long the same refusal isn't said again.
const QUIET: Duration = Duration::from_secs(60);
/// How many refusals are remembered.
const REMEMBERED: usize = 1_024;

/// A refusal that was said.
#[derive(Debug)]
struct Said {
    at: Instant,
    unsaid: u64,
}

/// Who was refused of late, and why.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    said: Mutex<HashMap<(Source, &'static str), Said>>,
}

impl RefusalLog {
    /// Says that somebody is refused, and counts it.
    pub(crate) fn refused(&self, address: IpAddr, refused: &Refused) {
        metrics::counter!("dataplane_connections_refused", "reason" => refused.name()).increment(1);
        let reason = refused.to_string();
        match self.is_new(Source::of(address), refused.name(), Instant::now()) {
            Some(unsaid) => tracing::warn!(%address, reason, unsaid, "an instance was refused"),
            None => tracing::debug!(%address, reason, "an instance was refused again"),
        }
    }

    /// How many refusals like this weren't said since the last one that was; none if this one isn't said either.
    fn is_new(&self, source: Source, reason: &'static str, now: Instant) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = said.get_mut(&(source, reason))
            && now.duration_since(known.at) < QUIET
        {
            known.unsaid += 1;
            return None;
        }
        let unsaid = said.remove(&(source, reason)).map_or(0, |known| known.unsaid);
        if said.len() >= REMEMBERED {
            said.retain(|_, known| now.duration_since(known.at) < QUIET);
            if said.len() >= REMEMBERED {
                return None;
            }
        }
        said.insert((source, reason), Said { at: now, unsaid: 0 });
        Some(unsaid)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_same_refusal_is_said_once_a_minute() {
        let source = |address: Ipv4Addr| Source::of(address.into());
        let (one, other) = (source(Ipv4Addr::LOCALHOST), source(Ipv4Addr::UNSPECIFIED));
        let (log, now) = (RefusalLog::default(), Instant::now());
        assert_eq!(log.is_new(one, "token", now), Some(0));
        assert_eq!(log.is_new(one, "token", now), None);
        assert_eq!(log.is_new(one, "token", now), None);
        assert!(log.is_new(other, "token", now).is_some());
        assert!(log.is_new(one, "unknown", now).is_some());
        assert_eq!(log.is_new(one, "token", now + QUIET), Some(2));
    }

    #[test]
    fn a_crowd_of_addresses_fills_neither_the_log_nor_the_memory() {
        let (log, now) = (RefusalLog::default(), Instant::now());
        let address = |number: u32| Source::of(Ipv4Addr::from(number).into());
        let said = (0..10_000).filter(|number| log.is_new(address(*number), "token", now).is_some());
        assert_eq!(said.count(), REMEMBERED);
    }
}
