//! What the two admins do, drawn at random.

use domain::organization::AuthType;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::belongings::Side;

/// How an admin shows that a certificate is its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Proof {
    Nothing,
    /// By the key, if it has it, and by a key of its own otherwise.
    OwnGroup,
    /// By what the key's owner signed for its own group.
    Overheard,
    /// By what the key's owner signed for the other's group, long ago.
    Stale,
}

/// One command.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Adds one of all certificates.
    Add(Side, usize, Proof),
    /// Has one issued by the built-in CA: another instance of its own.
    Issue(Side),
    Remove(Side, usize),
    Trust(Side, AuthType),
    Delete(Side),
    Restore(Side),
    Purge(Side),
}

fn side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::One), Just(Side::Other)]
}

fn step() -> impl Strategy<Value = Step> {
    let proof = prop_oneof![
        1 => Just(Proof::Nothing),
        7 => Just(Proof::OwnGroup),
        2 => Just(Proof::Overheard),
        1 => Just(Proof::Stale)
    ];
    let auth_type = prop_oneof![
        3 => Just(AuthType::PkiClientCerts),
        1 => Just(AuthType::PinnedClientCerts)
    ];
    prop_oneof![
        36 => (side(), any::<usize>(), proof).prop_map(|(side, index, proof)| Step::Add(side, index, proof)),
        3 => side().prop_map(Step::Issue),
        9 => (side(), any::<usize>()).prop_map(|(side, index)| Step::Remove(side, index)),
        9 => (side(), auth_type).prop_map(|(side, auth_type)| Step::Trust(side, auth_type)),
        3 => side().prop_map(Step::Delete),
        6 => side().prop_map(Step::Restore),
        1 => side().prop_map(Step::Purge),
    ]
}

/// Up to so many commands.
pub(crate) fn steps(at_most: usize) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), 1..at_most)
}
