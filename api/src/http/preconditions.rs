//! Conditional requests (DESIGN §8): an ETag is the version of the last change that touched what is answered with.

use axum::http::header::{IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use domain::Version;
use domain::group::Condition;

use super::refusal::Refusal;

/// The ETag of a version: `"7"`.
pub(crate) fn entity_tag(version: Version) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits in quotes are a header value")
}

/// The condition of an entity write.
pub(crate) fn condition(headers: &HeaderMap) -> Result<Condition, Refusal> {
    match (tags(headers, &IF_MATCH), tags(headers, &IF_NONE_MATCH)) {
        (None, None) => Ok(Condition::Always),
        (Some(Tags::Any), None) => Ok(Condition::Exists),
        (Some(Tags::Versions(versions)), None) => Ok(Condition::Touched(versions)),
        (None, Some(Tags::Any)) => Ok(Condition::Absent),
        (None, Some(Tags::Versions(_))) => Err(Refusal::bad_request(
            "If-None-Match on a change must be *: create only if it doesn't exist yet",
        )),
        (Some(_), Some(_)) => Err(Refusal::bad_request(
            "If-Match and If-None-Match exclude each other: send one of them",
        )),
    }
}

/// The versions `If-Match` names; none without the header or with `*`.
pub(crate) fn expected_versions(headers: &HeaderMap) -> Option<Vec<Version>> {
    match tags(headers, &IF_MATCH)? {
        Tags::Any => None,
        Tags::Versions(versions) => Some(versions),
    }
}

/// The one group version `If-Match` names (`/transactions`, `/apply`, `/rollback`).
pub(crate) fn expected_version(headers: &HeaderMap) -> Result<Option<Version>, Refusal> {
    match expected_versions(headers).as_deref() {
        None => Ok(None),
        Some([version]) => Ok(Some(*version)),
        Some(_) => Err(Refusal::bad_request(
            "If-Match must name one version of the group, in quotes: \"7\"",
        )),
    }
}

/// Whether the reader has this version already (`If-None-Match` on a read: 304).
pub(crate) fn is_current(headers: &HeaderMap, version: Version) -> bool {
    match tags(headers, &IF_NONE_MATCH) {
        None => false,
        Some(Tags::Any) => true,
        Some(Tags::Versions(versions)) => versions.contains(&version),
    }
}

enum Tags {
    Any,
    /// Tags that aren't versions can't match anything and are left out.
    Versions(Vec<Version>),
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Tags> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let texts: Vec<&str> = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    if texts.contains(&"*") {
        return Some(Tags::Any);
    }
    let version = |tag: &&str| {
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
    };
    Some(Tags::Versions(texts.iter().filter_map(version).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::try_from(value).unwrap())])
    }

    #[test]
    fn an_entity_tag_comes_back_as_the_version_it_was_made_of() {
        let value = entity_tag(7);
        assert_eq!(value, "\"7\"");
        assert!(is_current(&headers(IF_NONE_MATCH, "\"3\", \"7\""), 7));
        assert!(!is_current(&headers(IF_NONE_MATCH, "\"3\""), 7));
        assert_eq!(expected_version(&headers(IF_MATCH, "\"7\"")).unwrap(), Some(7));
    }

    #[test]
    fn a_tag_that_is_no_version_matches_nothing() {
        let condition = condition(&headers(IF_MATCH, "\"abc\"")).unwrap();
        assert_eq!(condition, Condition::Touched(Vec::new()));
    }

    #[test]
    fn a_star_means_exists_or_does_not() {
        assert_eq!(condition(&headers(IF_MATCH, "*")).unwrap(), Condition::Exists);
        assert_eq!(
            condition(&headers(IF_NONE_MATCH, "*")).unwrap(),
            Condition::Absent
        );
        assert!(condition(&headers(IF_NONE_MATCH, "\"7\"")).is_err());
    }
}
