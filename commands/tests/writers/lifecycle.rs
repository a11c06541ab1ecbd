//! Writers start on demand, stop when idle, and end with the process.

use std::time::Duration;

use commands::log::Fault;
use domain::gateway::CommandError;
use futures::future;

use crate::site::Site;

#[tokio::test(start_paused = true)]
async fn an_idle_writer_stops_and_the_next_command_starts_another() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    desk.create("billing").await.unwrap();
    assert!(desk.bus.position(desk.boundary()).is_some());
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert_eq!(desk.bus.position(desk.boundary()), None);
    assert_eq!(desk.create("orders").await.unwrap().version, 2);
    assert_eq!(desk.services().await, ["billing", "orders"]);
}

#[tokio::test]
async fn a_process_that_ends_in_doubt_says_that_the_outcome_is_unknown() {
    let (site, log) = Site::in_memory();
    let desk = site.desk().await;
    for _ in 0..100 {
        log.inject(Fault::UnknownLost);
    }
    let (answer, ()) = future::join(desk.create("billing"), async {
        tokio::task::yield_now().await;
        site.tasks.shut_down().await;
    })
    .await;
    assert_eq!(answer.unwrap_err(), CommandError::OutcomeUnknown);
}

#[tokio::test]
async fn a_caller_that_leaves_before_its_command_was_taken_takes_it_along() {
    let (site, _) = Site::in_memory();
    let desk = site.desk().await;
    let other = desk.clone();
    let mut leaving = Box::pin(async move { other.create("billing").await });
    assert!(futures::poll!(&mut leaving).is_pending());
    drop(leaving);
    assert_eq!(desk.create("orders").await.unwrap().version, 1);
    assert_eq!(desk.services().await, ["orders"]);
}
