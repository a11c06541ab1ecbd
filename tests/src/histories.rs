//! What clients saw, and a judge of it: one runtime group must look like one sequence of changes to all of them, whichever
//! process answered (linearizability of a register per entity and of the group's version).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What a client did to one service, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// When it was begun: an operation that had to be repeated was begun at its first attempt.
    pub invoked: Instant,
    /// When its definite answer was there.
    pub answered: Instant,
    /// The service's name.
    pub service: String,
    /// The host that was written or read.
    pub host: String,
    /// What it was.
    pub kind: Kind,
}

/// What an operation was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The service was written; this is the change's version.
    Wrote {
        /// The version that the answer named.
        version: u64,
    },
    /// The service was read.
    Read {
        /// The version of the last change that touched it (its `ETag`).
        touched: u64,
        /// How new the answer was at least (`X-Group-Version`).
        group: u64,
    },
}

impl Operation {
    /// The newest version that this operation proves to have been durable when it was answered.
    const fn proves(&self) -> u64 {
        match self.kind {
            Kind::Wrote { version } => version,
            Kind::Read { group, .. } => group,
        }
    }
}

/// Operations as they are noted by many clients at once.
#[derive(Debug, Clone, Default)]
pub struct History {
    operations: Arc<Mutex<Vec<Operation>>>,
}

impl History {
    /// Notes an operation.
    pub fn note(&self, operation: Operation) {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(operation);
    }

    /// Everything noted until now.
    pub fn operations(&self) -> Vec<Operation> {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Checks that the operations could have happened one after another, each at a moment between its beginning and its answer, in
/// the order of the group's versions: what was answered before another was begun is never missing from that other.
/// Answers what contradicts it.
pub fn judge(operations: &[Operation]) -> Result<(), String> {
    let written = writes_by_version(operations)?;
    let mut by_answer: Vec<&Operation> = operations.iter().collect();
    by_answer.sort_by_key(|operation| operation.answered);
    let mut by_invocation: Vec<&Operation> = operations.iter().collect();
    by_invocation.sort_by_key(|operation| operation.invoked);

    let mut known = Known::default();
    let mut answered = by_answer.into_iter().peekable();
    for operation in by_invocation {
        while let Some(earlier) = answered.next_if(|earlier| earlier.answered < operation.invoked) {
            known.learn(earlier);
        }
        known.admits(operation)?;
        if let Kind::Read { touched, .. } = operation.kind {
            let found = written.get(&touched);
            if found != Some(&(operation.service.as_str(), operation.host.as_str())) {
                return Err(format!(
                    "{operation:?} read what version {touched} didn't write: {found:?}"
                ));
            }
        }
    }
    Ok(())
}

fn writes_by_version(operations: &[Operation]) -> Result<BTreeMap<u64, (&str, &str)>, String> {
    let mut written = BTreeMap::new();
    for operation in operations {
        if let Kind::Wrote { version } = operation.kind {
            let content = (operation.service.as_str(), operation.host.as_str());
            if let Some(other) = written.insert(version, content) {
                return Err(format!(
                    "version {version} was acknowledged twice: {other:?} and {content:?}"
                ));
            }
        }
    }
    Ok(written)
}

/// What had been answered before a moment.
#[derive(Debug, Default)]
struct Known<'history> {
    group: u64,
    services: BTreeMap<&'history str, u64>,
}

impl<'history> Known<'history> {
    fn learn(&mut self, operation: &'history Operation) {
        self.group = self.group.max(operation.proves());
        let touched = match operation.kind {
            Kind::Wrote { version } => version,
            Kind::Read { touched, .. } => touched,
        };
        let known = self.services.entry(&operation.service).or_default();
        *known = touched.max(*known);
    }

    fn admits(&self, operation: &Operation) -> Result<(), String> {
        let known = self
            .services
            .get(operation.service.as_str())
            .copied()
            .unwrap_or_default();
        match operation.kind {
            Kind::Wrote { version } if version <= self.group => Err(format!(
                "{operation:?} was begun after version {} was known, and yet came before it",
                self.group
            )),
            Kind::Read { group, .. } if group < self.group => Err(format!(
                "{operation:?} was begun after version {} was known, and yet is older",
                self.group
            )),
            Kind::Read { touched, .. } if touched < known => Err(format!(
                "{operation:?} was begun after version {known} of this service was known, and yet read an older one"
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(times: (u64, u64), host: &str, kind: Kind) -> Operation {
        // Any instant will do as the beginning: only differences count.
        static BEGINNING: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let beginning = *BEGINNING.get_or_init(Instant::now);
        Operation {
            invoked: beginning + Duration::from_millis(times.0),
            answered: beginning + Duration::from_millis(times.1),
            service: "orders".to_owned(),
            host: host.to_owned(),
            kind,
        }
    }

    fn wrote(times: (u64, u64), host: &str, version: u64) -> Operation {
        at(times, host, Kind::Wrote { version })
    }

    fn read(times: (u64, u64), host: &str, touched: u64, group: u64) -> Operation {
        at(times, host, Kind::Read { touched, group })
    }

    #[test]
    fn operations_side_by_side_may_take_either_order() {
        let history = [
            wrote((0, 10), "a", 2),
            wrote((5, 12), "b", 1),
            read((6, 20), "a", 2, 2),
        ];
        assert_eq!(judge(&history), Ok(()));
    }

    #[test]
    fn a_lost_update_is_found() {
        let history = [wrote((0, 10), "a", 1), wrote((11, 12), "b", 1)];
        assert!(judge(&history).unwrap_err().contains("twice"));
    }

    #[test]
    fn a_stale_read_is_found() {
        let history = [
            wrote((0, 10), "a", 1),
            wrote((11, 20), "b", 2),
            read((21, 30), "a", 1, 2),
        ];
        assert!(judge(&history).unwrap_err().contains("read an older one"));
    }

    #[test]
    fn a_read_that_goes_back_in_time_is_found() {
        let history = [
            wrote((0, 10), "a", 1),
            wrote((0, 40), "b", 2),
            read((11, 20), "b", 2, 2),
            read((21, 30), "b", 2, 1),
        ];
        assert!(judge(&history).unwrap_err().contains("is older"));
    }

    #[test]
    fn a_value_that_nobody_wrote_is_found() {
        let history = [wrote((0, 10), "a", 1), read((11, 20), "c", 1, 1)];
        assert!(judge(&history).unwrap_err().contains("didn't write"));
    }
}
