//! The first start happens once, whoever starts and however often it is killed.

use commands::bootstrap::bootstrap;
use domain::Cause;
use domain::system::SystemCommand;
use futures::future;
use uuid::Uuid;

use crate::site::{Site, first_start};

#[tokio::test]
async fn a_first_start_makes_the_installation_and_the_next_one_finds_it() {
    let (site, _) = Site::in_memory();
    let first = bootstrap(&site.bus(), first_start(1)).await.unwrap();
    assert!(first.admin_accepted);
    assert_eq!(first.system.state.log_id, Some(Uuid::from_u128(1)));
    let tail = site.log.tail().await.unwrap();
    let again = bootstrap(&site.bus(), first_start(2)).await.unwrap();
    assert!(!again.admin_accepted);
    assert_eq!(again.organization, first.organization);
    assert_eq!(again.system.state.log_id, Some(Uuid::from_u128(1)));
    let authority = again.system.state.authority.as_ref().unwrap();
    assert_eq!(authority.key.expose(), "key 1");
    assert_eq!(site.log.tail().await.unwrap(), tail);
}

#[tokio::test]
async fn of_processes_that_start_at_once_the_losers_read_the_winners_installation() {
    let (site, _) = Site::in_memory();
    let buses = [site.bus(), site.bus(), site.bus()];
    let starts = buses
        .iter()
        .zip(1..)
        .map(|(bus, number)| bootstrap(bus, first_start(number)));
    let installations = future::try_join_all(starts).await.unwrap();
    assert!(
        installations
            .iter()
            .all(|installation| installation.organization == installations[0].organization)
    );
    let accepted = installations.iter().filter(|one| one.admin_accepted);
    assert_eq!(accepted.count(), 1);
}

#[tokio::test]
async fn a_start_killed_between_its_two_commits_is_finished_by_the_next() {
    let (site, _) = Site::in_memory();
    let first = first_start(1);
    let initialize = SystemCommand::Initialize {
        log_id: first.log_id,
        organization: first.organization,
        name: first.name,
        authority: first.authority,
    };
    site.bus()
        .system(initialize, Cause::system("bootstrap"))
        .await
        .unwrap();
    let installation = bootstrap(&site.bus(), first_start(1)).await.unwrap();
    assert!(installation.admin_accepted);
    assert_eq!(installation.organization, first.organization);
    let desk = site.desk().await;
    assert_eq!(desk.create("billing").await.unwrap().version, 1);
}
