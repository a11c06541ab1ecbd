//! On a file: what was answered is there after a restart.

use std::path::Path;

use commands::log::SqliteLog;
use commands::tasks::Tasks;
use domain::Boundary;
use futures::future;

use crate::site::Site;

async fn open(directory: &Path, tasks: &Tasks) -> SqliteLog {
    let path = directory.join("log.db");
    SqliteLog::open(&path, None, tasks).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let tasks = Tasks::default();
    let mut site = Site::on(open(directory.path(), &tasks).await);
    let desk = site.desk().await;
    let names: Vec<_> = (0..300).map(|number| format!("service-{number:03}")).collect();
    let answers = future::join_all(names.iter().map(|name| desk.create(name))).await;
    let newest = answers.into_iter().map(|answer| answer.unwrap().position).max();
    site.tasks.shut_down().await;
    drop(desk);
    tasks.shut_down().await;

    site.tasks = Tasks::default();
    let tasks = Tasks::default();
    site.log = std::sync::Arc::new(open(directory.path(), &tasks).await);
    let desk = site.desk().await;
    assert_eq!(desk.services().await, names);
    assert_eq!(site.versions(desk.group).await, (1..=300).collect::<Vec<_>>());
    let tail = site.log.boundary_tail(Boundary::Group(desk.group)).await;
    assert_eq!(tail.unwrap(), newest);
    tasks.shut_down().await;
}
