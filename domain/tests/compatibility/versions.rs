//! Version numbers and the releases they belong to.

use domain::compatibility::{GatewayVersion, Release};
use proptest::prelude::*;

fn version(text: &str) -> GatewayVersion {
    GatewayVersion::parse(text).expect("a version")
}

#[test]
fn a_version_begins_with_three_numbers() {
    for (text, shown) in [
        ("3.9.1", "3.9.1"),
        ("3.4.3.12", "3.4.3.12"),
        ("2.8.4.1-enterprise-edition", "2.8.4.1"),
        ("3.10.0-dev", "3.10.0"),
        ("3.6.0rc1", "3.6.0"),
    ] {
        assert_eq!(version(text).to_string(), shown, "{text}");
    }
    for text in [
        "",
        "3",
        "3.9",
        "3.x.1",
        "three.nine.one",
        "99999999.1.1",
        ".3.9.1",
    ] {
        assert_eq!(GatewayVersion::parse(text), None, "{text}");
    }
}

#[test]
fn versions_are_ordered_by_their_parts() {
    let ordered = [
        "2.8.5", "3.0.0", "3.4.2", "3.4.3.1", "3.4.3.12", "3.9.0", "3.9.1", "3.10.0",
    ];
    assert!(ordered.map(version).is_sorted());
}

#[test]
fn a_version_belongs_to_a_release_line_and_the_first_3_9_to_one_of_its_own() {
    for (text, name) in [
        ("2.8.0", "2.8"),
        ("2.8.4.13", "2.8"),
        ("3.0.2", "3.0"),
        ("3.4.3.12", "3.4"),
        ("3.9.0", "3.9.0"),
        ("3.9.1", "3.9"),
        ("3.9.3", "3.9"),
        ("3.10.7", "3.10"),
    ] {
        assert_eq!(Release::of(version(text)).unwrap().name(), name, "{text}");
    }
}

#[test]
fn what_is_older_or_newer_than_what_is_known_is_unsupported_and_the_answer_says_so() {
    for text in ["1.5.0", "2.7.2", "2.9.0", "3.11.0", "4.0.0"] {
        let error = Release::of(version(text)).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.to_string().contains("2.8 to 3.10"), "{error}");
    }
}

#[test]
fn releases_are_found_by_name_and_ordered_by_age() {
    assert!(Release::all().is_sorted());
    assert_eq!(Release::all().last(), Some(Release::NEWEST));
    for release in Release::all() {
        assert_eq!(Release::named(release.name()), Some(release));
    }
}

proptest! {
    #[test]
    fn a_newer_version_never_belongs_to_an_older_release(
        left in (2_u16..4, 0_u16..12, 0_u16..4, 0_u16..3),
        right in (2_u16..4, 0_u16..12, 0_u16..4, 0_u16..3),
    ) {
        let of = |(major, minor, patch, build)| GatewayVersion { major, minor, patch, build };
        let (left, right) = (of(left), of(right));
        if let (Ok(first), Ok(second)) = (Release::of(left), Release::of(right)) && left <= right {
            prop_assert!(first <= second, "{left} is {first:?}, {right} is {second:?}");
        }
    }
}
