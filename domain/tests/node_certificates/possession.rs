//! Whoever adds a certificate shows that its private key is theirs.

use domain::Timestamp;
use domain::system::possession::{CHALLENGE_BEGINS, CHALLENGE_SECONDS, challenge};
use domain::system::{GroupOfOrganization, Possession, SignedChallenge, SystemError, Unproven};

use crate::NOW;
use crate::claims::{GivenSystem, OURS, THEIRS};
use crate::made::Made;

fn made(given: &GivenSystem, by: GroupOfOrganization, at: Timestamp) -> String {
    let (text, until) = challenge(&given.0, by, at).expect("the installation has a CA");
    assert_eq!(until, at.plus_seconds(CHALLENGE_SECONDS));
    assert!(
        text.starts_with(CHALLENGE_BEGINS) && !text.contains('\n'),
        "{text}"
    );
    text
}

fn signed(challenge: &str, by: &Made) -> Possession {
    Possession::Signed(SignedChallenge {
        challenge: challenge.to_owned(),
        signature: by.signs(challenge),
    })
}

fn refusal(given: &mut GivenSystem, own: &Made, possession: Possession) -> Unproven {
    match given.when_wanted(&own.claimed(), OURS, possession) {
        Err(SystemError::Unproven(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_signed_challenge_of_the_group_shows_it() {
    let mut given = GivenSystem::installed();
    let own = Made::root("own");
    let text = made(&given, OURS, NOW);
    given
        .when_wanted(&own.claimed(), OURS, signed(&text, &own))
        .expect("the key is at hand");
}

#[test]
fn nothing_another_groups_challenge_an_old_one_and_a_strangers_signature_do_not() {
    let mut given = GivenSystem::installed();
    let (own, stranger) = (Made::root("own"), Made::root("stranger"));
    let ours = made(&given, OURS, NOW);
    let theirs = made(&given, THEIRS, NOW);
    let old = made(&given, OURS, NOW.plus_seconds(-CHALLENGE_SECONDS - 1));
    let later = ours.replace("until=1", "until=2");
    for (possession, why) in [
        (Possession::Unproven, Unproven::Nothing),
        (signed(&theirs, &own), Unproven::Foreign),
        (signed(&later, &own), Unproven::Foreign),
        (signed("anything", &own), Unproven::Foreign),
        (signed(&old, &own), Unproven::TooLate(NOW.plus_seconds(-1))),
        (signed(&ours, &stranger), Unproven::Signature),
    ] {
        assert_eq!(refusal(&mut given, &own, possession), why);
    }
    let garbled = Possession::Signed(SignedChallenge {
        challenge: ours,
        signature: "no base64".to_owned(),
    });
    assert_eq!(refusal(&mut given, &own, garbled), Unproven::Signature);
}

#[test]
fn who_may_change_every_group_vouches_while_there_is_one_organization() {
    let mut given = GivenSystem::installed();
    let (one, other) = (Made::root("one"), Made::root("other"));
    given
        .when_wanted(&one.claimed(), OURS, Possession::Vouched)
        .expect("this is the operator");
    given.organization(THEIRS.organization);
    assert_eq!(
        refusal(&mut given, &other, Possession::Vouched),
        Unproven::Nothing
    );
}

#[test]
fn what_the_group_has_already_is_not_asked_for_again() {
    let mut given = GivenSystem::installed();
    let own = Made::root("own");
    given
        .when_wanted(&own.claimed(), OURS, Possession::Known)
        .expect("it is free");
    let again = given.when_wanted(&own.claimed(), OURS, Possession::Unproven);
    assert_eq!(again, Ok(Vec::new()));
}
