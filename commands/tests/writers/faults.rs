//! Faults of every kind under many callers of two processes: what was answered is true.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commands::log::{Fault, MemoryLog};
use domain::gateway::CommandError;
use domain::group::GroupEvent;
use futures::future;

use crate::site::{Desk, Site, keyed, put_service};

const CALLERS: usize = 16;
const EACH: usize = 20;
const PATTERN: [Fault; 7] = [
    Fault::UnknownStored,
    Fault::UnknownLost,
    Fault::Conflict,
    Fault::UnknownStoredLater,
    Fault::Full,
    Fault::UnknownStoredLater,
    Fault::UnknownStored,
];

/// Puts services one after the other and answers the names that were promised, by version.
async fn caller(desk: &Desk, number: usize) -> Vec<(u64, String)> {
    let mut promised = Vec::new();
    for round in 0..EACH {
        let name = format!("service-{number}-{round}");
        loop {
            let cause = keyed(&name, &name);
            match desk.send_as(put_service(&name, "/"), cause).await {
                Ok(accepted) => {
                    promised.push((accepted.version, name));
                    break;
                }
                Err(CommandError::LogFull(_) | CommandError::OutcomeUnknown) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }
    promised
}

/// Lets the log meet faults and late deliveries until everybody is done.
async fn trouble(log: &MemoryLog, done: &AtomicBool) {
    for fault in PATTERN.iter().cycle() {
        if done.load(Ordering::Relaxed) {
            return;
        }
        log.inject(*fault);
        // The clock stands still: this lets everybody else go on until they wait too.
        tokio::time::sleep(Duration::from_millis(1)).await;
        log.deliver_delayed();
    }
}

#[tokio::test(start_paused = true)]
async fn every_promise_is_kept_and_no_version_is_missing_or_given_twice() {
    let (site, log) = Site::in_memory();
    let desks = [site.desk().await, site.desk().await];
    let done = AtomicBool::new(false);
    let work = async {
        let callers = (0..CALLERS).map(|number| caller(&desks[number % 2], number));
        let promised = future::join_all(callers).await;
        done.store(true, Ordering::Relaxed);
        promised
    };
    let (promised, ()) = future::join(work, trouble(&log, &done)).await;
    let changes = site.changes(desks[0].group).await;
    let versions: Vec<_> = changes.iter().map(|change| change.version).collect();
    assert_eq!(versions, (1..=(CALLERS * EACH) as u64).collect::<Vec<_>>());
    let promised: BTreeSet<_> = promised.into_iter().flatten().collect();
    let stored: BTreeSet<_> = changes
        .iter()
        .map(|change| (change.version, change.idempotency.clone().unwrap().key))
        .collect();
    assert_eq!(promised, stored);
    assert!(
        changes
            .iter()
            .all(|change| matches!(change.events[..], [GroupEvent::EntityCreated { .. }]))
    );
}
