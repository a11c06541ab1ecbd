//! Whatever the admins of two groups do with certificates, no instance of the one is answered by the other.
//!
//! Each admin adds its own certificates, the other's, and copies of them: altered, renewed, renamed, cross-signed, or issued anew for
//! the other's keys. Many sequences are decided by the command bus and judged by the gatekeeper, with a log in memory
//! ([`installation`]); fewer are played against the real program, over HTTP and TLS ([`served`]). `PROPTEST_CASES` says how many.

mod belongings;
mod installation;
mod served;
mod steps;

use std::cell::Cell;

use domain::organization::AuthType;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::belongings::{Belongings, Side, everything};
use crate::installation::Installation;
use crate::served::Served;
use crate::steps::{Proof, Step, steps};

/// So many sequences are played unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 64;
/// One of so many is played against the real program as well, and two at least.
const ONE_OF: u32 = 32;

/// What happened in all sequences.
#[derive(Default)]
struct Counted {
    sequences: Cell<usize>,
    steps: Cell<usize>,
    /// How often an instance was answered, and by its own group.
    answered: Cell<usize>,
}

impl Counted {
    fn add(counter: &Cell<usize>, more: usize) {
        counter.set(counter.get() + more);
    }

    #[expect(
        clippy::print_stdout,
        reason = "how many sequences there were is what it is run for"
    )]
    fn tell(&self, how: &str) {
        let (sequences, steps, answered) = (self.sequences.get(), self.steps.get(), self.answered.get());
        println!(
            "{sequences} sequences of {steps} certificate commands {how}: {answered} answers to instances, 0 by another's group"
        );
        assert!(answered > 0, "nobody was answered, so nothing was shown");
    }
}

fn cases() -> u32 {
    let said = std::env::var("PROPTEST_CASES").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

fn runner(cases: u32, shrinking: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: shrinking,
        ..Config::default()
    })
}

fn capture(step: usize, side: Side) -> TestCaseError {
    TestCaseError::fail(format!(
        "after step {step} an instance of {side:?} was answered by another group"
    ))
}

#[test]
fn no_commands_of_two_admins_let_an_instance_of_the_one_be_answered_by_the_other() {
    let counted = Counted::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let played = runner(cases(), 1_000).run(&steps(40), |steps| runtime.block_on(decided(&steps, &counted)));
    played.unwrap_or_else(|failure| panic!("{failure}"));
    counted.tell("decided in memory");
}

async fn decided(steps: &[Step], counted: &Counted) -> Result<(), TestCaseError> {
    let belongings = Belongings::of_both();
    let mut installation = Installation::with(&belongings).await;
    for side in Side::BOTH {
        installation
            .make(&Step::Trust(side, AuthType::PkiClientCerts))
            .await;
    }
    Counted::add(&counted.sequences, 1);
    for (number, step) in steps.iter().enumerate() {
        installation.make(step).await;
        Counted::add(&counted.steps, 1);
        for side in Side::BOTH {
            for chain in installation.instances(side, &belongings) {
                for group in installation.admits(&chain).await {
                    if group != installation.group(side) {
                        return Err(capture(number, side));
                    }
                    Counted::add(&counted.answered, 1);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn nor_against_the_real_program() {
    let counted = Counted::default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime.block_on(Served::start());
    let cases = (cases() / ONE_OF).max(2);
    let played = runner(cases, 20).run(&steps(12), |steps| {
        runtime.block_on(asked(&server, &steps, &counted))
    });
    played.unwrap_or_else(|failure| panic!("{failure}"));
    counted.tell("against the real program");
}

async fn asked(server: &Served, steps: &[Step], counted: &Counted) -> Result<(), TestCaseError> {
    let belongings = Belongings::of_both();
    let mut groups = server
        .two_groups(everything(&belongings, server.built_in()))
        .await;
    Counted::add(&counted.sequences, 1);
    // What both own is added before they go on.
    let own = Side::BOTH.map(|side| groups.own_root(side));
    let first = Side::BOTH.into_iter().zip(own);
    let first: Vec<_> = first
        .map(|(side, index)| Step::Add(side, index, Proof::OwnGroup))
        .collect();
    for (number, step) in first.iter().chain(steps).enumerate() {
        groups.make(step).await;
        Counted::add(&counted.steps, 1);
        for side in Side::BOTH {
            for pair in groups.instances(side, &belongings) {
                match groups.answerer(&pair).await {
                    Some(answerer) if answerer != groups.name(side) => return Err(capture(number, side)),
                    Some(_) => Counted::add(&counted.answered, 1),
                    None => {}
                }
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn each_admin_has_its_own_instances_let_in() {
    let belongings = Belongings::of_both();
    let mut installation = Installation::with(&belongings).await;
    for side in Side::BOTH {
        installation
            .make(&Step::Trust(side, AuthType::PkiClientCerts))
            .await;
        for index in 0..installation.known_certificates() {
            installation.make(&Step::Add(side, index, Proof::OwnGroup)).await;
        }
        installation.make(&Step::Issue(side)).await;
    }
    for side in Side::BOTH {
        let chains = installation.instances(side, &belongings);
        assert_eq!(chains.len(), 7);
        for chain in chains {
            let own = installation.group(side);
            assert_eq!(installation.admits(&chain).await, [own, own], "{side:?}");
        }
    }
}
